"""Other people's checkpoints: getting them, and turning them into model folders."""
