"""Which figures are wanted: labels, cues, a small classifier."""
