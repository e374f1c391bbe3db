"""Figures that LaTeX puts together of several files."""
