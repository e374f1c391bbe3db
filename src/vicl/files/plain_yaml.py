"""YAML from a stranger as plain values: no tags that name classes, no references."""

from __future__ import annotations

import re
from typing import Any

import yaml

FAULTS = (
    *(yaml.YAMLError, ValueError, RecursionError),
    *(KeyError, IndexError, TypeError, AttributeError, OverflowError),
)
"""What :func:`parse` raises on broken text: YAML's constructors do not check their words."""


class _PlainLoader(yaml.SafeLoader):
    """YAML without references, with which a few lines can stand for a billion entries."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("it has references (&, *), which are not read here")
        return super().compose_node(parent, index)

    def construct_yaml_int(self, node: Any) -> int:
        value: int = super().construct_yaml_int(node)
        # Python refuses to write much larger ones, wherever that is tried first.
        if abs(value) >= 1 << 63:
            raise yaml.YAMLError("it has an integer of more than 64 bits")
        return value


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)
# YAML 1.1 takes 1e-4 for a word, since it has no point; people and other readers take it for a
# number.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse(text: str | bytes) -> tuple[Any, yaml.Node | None]:
    """Read one YAML document.

    Args:
        text: The document; the caller limits its length.

    Returns:
        Its value, made of plain Python values only, and the node tree, which knows the lines;
        (None, None) if there is nothing in it.

    Raises:
        One of :data:`FAULTS`.
    """
    loader = _PlainLoader(text)
    try:
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    return value, node
