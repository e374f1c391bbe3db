"""Docstrings as Markdown: what Sphinx's roles name is shown as code.

mkdocs.yml names this file as an extension of griffe, which reads the docstrings.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|meth|func|data|mod|attr|exc|obj):`~?([^`]+)`")


class Roles(griffe.Extension):  # type: ignore[misc]  # where griffe is not installed
    """Turns `:class:` and the like into code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of each object that is read."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(docstring: str) -> str:
    """A docstring without roles."""
    return _ROLE.sub(r"`\1`", docstring)
