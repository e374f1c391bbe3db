"""Asking: examples once, queries without end."""
