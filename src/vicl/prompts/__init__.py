"""Learned prompts: a frozen backbone, and a small thing that is trained beside it."""
