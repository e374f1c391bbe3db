"""The engines: networks that fill holes, `analogies`, and the floors."""
