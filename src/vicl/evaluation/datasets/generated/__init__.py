"""Datasets that are drawn, not read: the synthetic study and the rules."""
