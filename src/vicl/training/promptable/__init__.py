"""Training promptable segmentation: simulated prompts, losses, and the job."""
