"""Duplicates, shards and what there is in them."""
