"""Training the head of the matching engine: episodes, their cues, and the job."""
