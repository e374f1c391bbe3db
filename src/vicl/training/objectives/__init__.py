"""What training steps: objectives, each a model with its losses."""
