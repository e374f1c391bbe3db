"""Evaluation: episodes over datasets, and what a model's answers to them are worth."""
