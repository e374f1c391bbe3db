"""Training figures: pages of grids whose rules are known."""
