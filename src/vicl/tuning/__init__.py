"""Training of learned prompts, on training's loop."""
