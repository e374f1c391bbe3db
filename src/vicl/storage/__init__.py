"""Models on disk: folders, cards, the hub, and checkpoints read safely."""
