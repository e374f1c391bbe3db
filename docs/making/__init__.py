"""What builds and checks the documentation: `make docs`, and quick tests without a site."""
