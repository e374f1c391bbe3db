"""From an image to features: one file an encoder, each a :class:`vicl.engine.Encoder`."""
