"""What pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

Declared = dict[str | None, tuple[Requirement, ...]]
"""Requirements by extra; None is of those that are always needed."""


def declared(text: str | None = None) -> Declared:
    """Read all requirements.

    Args:
        text: A pyproject.toml; None takes the repository's.
    """
    if text is None:
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    groups = {None: project["dependencies"]} | project["optional-dependencies"]
    return {extra: tuple(map(Requirement, lines)) for extra, lines in groups.items()}


def extras(known: Declared) -> tuple[str, ...]:
    """The extras for whoever uses vicl.

    What vicl itself is worked on with is pinned, and its extras are told by that.
    """
    return tuple(
        extra
        for extra, needed in known.items()
        if extra is not None and not any(_pinned(one) for one in needed)
    )


def tools(known: Declared) -> tuple[Requirement, ...]:
    """What tests run with and users do not need: the rest of the extra `dev`."""
    users = {_name(one) for extra in (None, *extras(known)) for one in known[extra]}
    return tuple(one for one in known["dev"] if _name(one) not in users)


def floorless(known: Declared) -> list[str]:
    """Requirements of users that have no floor."""
    return [
        str(one)
        for extra in (None, *extras(known))
        for one in known[extra]
        if not any(each.operator in (">=", "==") for each in one.specifier)
    ]


def constrained(package: str) -> Requirement:
    """A package at the version that `constraints.txt` has.

    Raises:
        ValueError: If it has none.
    """
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and Requirement(line).name == package:
            return Requirement(line)
    raise ValueError(f"constraints.txt: has no line for {package}")


def _pinned(one: Requirement) -> bool:
    return any(each.operator == "==" for each in one.specifier)


def _name(one: Requirement) -> str:
    return canonicalize_name(one.name)
