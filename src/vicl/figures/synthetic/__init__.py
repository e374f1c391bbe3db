"""Figures whose rules are known: scenes, rules, grids and pages."""
