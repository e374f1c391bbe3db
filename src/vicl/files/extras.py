"""What vicl's extras bring, and what of it is not installed."""

from __future__ import annotations

import importlib.metadata
import re


def requirements() -> dict[str | None, tuple[str, ...]]:
    """Packages that vicl needs, by extra; None is of those that it always needs."""
    found: dict[str | None, tuple[str, ...]] = {}
    for line in importlib.metadata.requires("vicl") or ():
        parts = re.match(r"\s*([\w.-]+)[^;]*(?:.*extra == ['\"]([\w.-]+))?", line)
        assert parts is not None  # the packages' own metadata
        found[parts[2]] = (*found.get(parts[2], ()), parts[1])
    return found


def version_of(package: str) -> str | None:
    """The version of a package that is installed; None if it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def to_install(*extras: str) -> str:
    """The command that brings what extras need to where vicl is installed.

    pip keeps the vicl that is there, and asks no index for it.
    """
    return f'pip install "vicl[{",".join(extras)}]"'


def lacks(extra: str) -> bool:
    """Whether a package of an extra is not installed."""
    return any(version_of(name) is None for name in requirements().get(extra, ()))
