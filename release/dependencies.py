"""What pyproject.toml asks for, and its floors as constraints for pip."""

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


def floors(known: Declared) -> dict[str, str]:
    """The oldest allowed version of each package, by its name.

    Raises:
        ValueError: If a package of users has no floor, or two that differ.
    """
    found: dict[str, str] = {}
    for extra in (None, *extras(known)):
        for one in known[extra]:
            versions = [each.version for each in one.specifier if each.operator in (">=", "==")]
            if len(versions) != 1:
                raise ValueError(f"pyproject.toml: {one} has no floor; write {one.name}>=VERSION")
            name = canonicalize_name(one.name)
            if found.setdefault(name, versions[0]) != versions[0]:
                raise ValueError(
                    f"pyproject.toml: {name} has the floors {found[name]} and {versions[0]}; "
                    "write one of them in all places"
                )
    return found


def tools(known: Declared) -> tuple[Requirement, ...]:
    """What tests run with and users do not need: the rest of the extra `dev`."""
    users = floors(known)
    return tuple(one for one in known["dev"] if canonicalize_name(one.name) not in users)


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
