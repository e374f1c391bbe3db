"""Recipes: what a run is, validated, and what it would take."""
