"""Promptable segmentation: an image encoded once, then points, boxes and the like to masks."""
