"""Having engines answer episodes."""
