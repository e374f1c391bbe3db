"""Scenes: what the cells of synthetic figures show."""
