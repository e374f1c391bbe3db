"""The geometry of a prompt: rectangles, layouts and how their pictures move; pure."""
