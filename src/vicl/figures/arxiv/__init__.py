"""Figures out of arXiv's sources: which papers, their sources, and the images in them."""
