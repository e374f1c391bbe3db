"""What an answer is worth, and what many answers come to."""
