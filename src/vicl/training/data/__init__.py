"""What is trained on: folders, shards, figures, mixtures."""
