"""Training the heads of the matching engine: their pictures, episodes and cues, and the jobs."""
