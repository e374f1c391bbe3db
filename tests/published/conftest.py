"""Fixtures of the tests of published models."""

from tests.published.serving import server as server
