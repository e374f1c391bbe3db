"""Backbones: pretrained networks behind one narrow face, to which prompts attach."""
