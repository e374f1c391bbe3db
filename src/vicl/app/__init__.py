"""The labelling app: the page, and what serves it."""
