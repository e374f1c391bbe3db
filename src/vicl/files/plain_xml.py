"""XML of strangers: elements, attributes and text, and nothing that can grow or reach elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Final
from xml.parsers import expat

_DEEPEST: Final = 32


def parse_xml(data: bytes, name: str, expected: str, error: type[ValueError]) -> ET.Element:
    """Read XML with neither document type nor entities, which can be made to grow without end.

    Args:
        data: All of it; the caller has bounded it.
        name: What messages call it.
        expected: What it should be, for messages.
        error: What is raised.

    Raises:
        ValueError: Of the given kind, if it is no XML, or has what is not read.
    """
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def refuse(*_: Any) -> None:
        raise error(
            f"{name}: has a document type or entities (<!DOCTYPE, <!ENTITY), which are not read; "
            "remove them"
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise error(f"{name}: is nested more than {_DEEPEST} deep, as no {expected} is")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as fault:
        if isinstance(fault, error) and not isinstance(fault, expat.ExpatError):
            raise
        raise error(
            f"{name}: is no XML, or is cut off ({fault}); expected a {expected}, in whole"
        ) from fault
