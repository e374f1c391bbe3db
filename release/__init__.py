"""What a release is made of and tested with; nothing of it is in the package."""
