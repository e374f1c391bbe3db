"""The pages of the site: which file each is, and where links between them lead."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

import yaml

from making import ROOT
from making.code import code_faults
from making.markdown import Link, anchors, links

DOCS = "docs"
CARDS = ("default", "figure-filter", "matching", "outlines", "promptable")
"""Folders of `src/vicl/weights` with a card."""

_MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "src/vicl/photos/README.md": "cards/photos.md",
    "src/vicl/recipes": "reference/recipes.md",
    **{f"src/vicl/weights/{name}/README.md": f"cards/{name}.md" for name in CARDS},
    **{f"src/vicl/weights/{name}": f"cards/{name}.md" for name in CARDS},
}
"""Files of the repository that are pages of the site, by their places there."""


def own_pages() -> list[str]:
    """Pages below `docs/`, as paths from the repository's root."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / DOCS).rglob("*.md"))


def moved_pages() -> dict[str, str]:
    """Pages that lie elsewhere in the repository: their files, and their places in the site."""
    return {source: place for source, place in _MOVED.items() if source.endswith(".md")}


def checked_pages() -> list[str]:
    """All that are written by hand: their links and code are checked."""
    return [*own_pages(), *moved_pages()]


def place_of(source: str) -> str:
    """Where a file of the repository is in the site.

    Pages have their places; any other file, or folder, is shown as a page below `source/`, but
    pictures are copied.
    """
    if source in _MOVED:
        return _MOVED[source]
    path = PurePosixPath(source)
    if path.parts[0] == DOCS:
        return path.relative_to(DOCS).as_posix()
    if path.suffix in (".png", ".jpg", ".webp", ".svg"):
        return f"cards/{path.parent.name}/{path.name}"
    return f"source/{source}.md"


def target_of(source: str, link: Link) -> str:
    """The file of the repository that a link of a page leads to."""
    if not link.path:
        return source
    return os.path.normpath(PurePosixPath(source).parent / link.path).replace(os.sep, "/")


def site_links(source: str, text: str) -> dict[str, str]:
    """For each link of a page within the repository: where it leads within the site."""
    here = PurePosixPath(place_of(source)).parent
    moved = {}
    for link in links(text):
        if link.outside or not link.path:
            continue
        there = os.path.relpath(place_of(target_of(source, link)), here).replace(os.sep, "/")
        moved[link.target] = f"{there}#{link.anchor}" if link.anchor else there
    return moved


def shown_sources() -> list[str]:
    """Files and folders of the repository that pages link to and that are no pages themselves."""
    found = {
        target_of(page, link)
        for page in checked_pages()
        for link in links(read(page))
        if not link.outside and link.path
    }
    return sorted(
        source
        for source in found
        if place_of(source).startswith(("source/", "cards/"))
        and source not in _MOVED
        and (ROOT / source).exists()
    )


@cache
def read(source: str) -> str:
    """The text of a page."""
    return (ROOT / source).read_text()


def link_faults(source: str, text: str) -> Iterator[str]:
    """What is wrong with the links of a page: a line and a sentence each."""
    for link in links(text):
        if link.outside:
            continue
        target = target_of(source, link)
        if target.startswith("..") or not (ROOT / target).exists():
            yield f"{link.line}: {link.target}: there is no {target}"
        elif link.anchor and target.endswith(".md") and link.anchor not in anchors(read(target)):
            yield f"{link.line}: {link.target}: {target} has no heading of that name"


def faults() -> list[str]:
    """What is wrong with all pages: file, line and a sentence each."""
    return [
        f"{page}:{fault}"
        for page in checked_pages()
        for fault in (*link_faults(page, read(page)), *code_faults(read(page)))
    ]


def in_navigation() -> list[str]:
    """The places of the site that the navigation of mkdocs.yml names, in order."""
    return list(_places(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))


def _places(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for inner in nav.values():
            yield from _places(inner)
    elif isinstance(nav, list):
        for inner in nav:
            yield from _places(inner)
