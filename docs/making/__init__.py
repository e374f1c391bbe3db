"""What builds and checks the documentation: `make docs`, and quick tests without a site."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Of the repository."""
