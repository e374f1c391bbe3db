"""Images out of sources."""
