"""Training: recipes, data, masking, objectives, the loop and its checkpoints.

Imports nothing by itself, so that reading a recipe needs no more than pydantic.
"""
