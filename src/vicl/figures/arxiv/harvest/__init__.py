"""Which papers, and their sources."""
