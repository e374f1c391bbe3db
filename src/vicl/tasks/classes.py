"""The classes of a task as people name them, and what marks each in a mask."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vicl.tasks.palette import Colour

ClassesLike = None | str | Sequence[str] | Mapping[str, Any]

VOID = 255
"""Index value of pixels that belong to no class."""

_PART = re.compile(
    r'(?:\s*"(?P<quoted>(?:[^"]|"")*)"\s*|(?P<plain>[^",=]*))(?:=(?P<key>[^,]*))?(?:,|$)'
)
"""One class in a text: a name, in quotes or not, perhaps `=` and what marks it."""


@dataclass(frozen=True)
class Classes:
    """The classes of a segmentation or detection task, and what marks each in a mask.

    Attributes:
        names: One or more, in the order of their numbers (1, 2, ...; 0 is the background).
        keys: For each, the index value or RGB colour that marks it; None where none was said.
    """

    names: tuple[str, ...]
    keys: tuple[int | Colour | None, ...]

    @classmethod
    def parse(cls, classes: ClassesLike) -> Classes:
        """Take classes as people write them.

        Args:
            classes: None (one class, "object"), names, a mapping of names to index values or
                colours ("#rrggbb" or (r, g, b)), or text such as "crop=#00ff00,weed=2". In a text
                a name may hold spaces; one that holds a comma or "=" stands in double quotes, and
                a quote inside those is written twice: '"traffic light, red"=3,sky=23'.

        Raises:
            ValueError: If a name stands twice or is empty, a key is neither value nor colour or
                marks two classes, or a quote is not closed.
        """
        if classes is None:
            return cls(("object",), (None,))
        if isinstance(classes, str):
            items: list[tuple[Any, Any]] = list(_split(classes))
        elif isinstance(classes, Mapping):
            items = list(classes.items())
        else:
            items = [(name, None) for name in classes]
        names = tuple(str(name) for name, _ in items)
        if not names or len(set(names)) < len(names) or any(not name.strip() for name in names):
            raise ValueError(
                f"classes: got {list(names)}, expected at least one name, each once and not empty"
            )
        if len(names) > VOID - 1:
            raise ValueError(f"classes: got {len(names)}, expected at most {VOID - 1}")
        keys = tuple(_parse_key(name, key) for name, key in items)
        for key, count in Counter(key for key in keys if key is not None).items():
            if count > 1:
                both = [name for name, other in zip(names, keys, strict=True) if other == key]
                raise ValueError(
                    f"classes: {both} are all marked by {key_text(key)}; give each its own value "
                    "or colour, or name them as one class"
                )
        return cls(names, keys)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The colours that mark classes; empty where values do, or nothing."""
        return tuple(key for key in self.keys if isinstance(key, tuple))

    @property
    def values(self) -> tuple[int, ...]:
        """The index values that mark classes; empty where colours do, or nothing."""
        return tuple(key for key in self.keys if isinstance(key, int))

    @property
    def has_gray(self) -> bool:
        """Whether one of the colours is gray, and could mark a class in a mask without colour."""
        return any(len(set(colour)) == 1 for colour in self.colours)


def key_text(key: int | Colour) -> str:
    """Write a value or a colour as `--classes` takes it."""
    return str(key) if isinstance(key, int) else "#{:02x}{:02x}{:02x}".format(*key)


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """The names and keys in a text such as ``crop=#00ff00,"weed, tall"=2``."""
    at = 0
    while at <= len(text):
        found = _PART.match(text, at)
        if found is None:
            raise ValueError(
                f"classes: got {text!r}, whose quotes do not match from {text[at:]!r} on; a name "
                'with a comma or "=" is written "in quotes"=3, a quote inside them twice'
            )
        quoted = found["quoted"]
        name = found["plain"].strip() if quoted is None else quoted.replace('""', '"')
        key = (found["key"] or "").strip() or None
        if key is None and re.fullmatch("#[0-9a-fA-F]{6}", name):
            raise ValueError(
                f"classes: got the colour {name} without a name; write name={name}, such as "
                f"object={name}"
            )
        yield name, key
        if not found[0].endswith(","):
            return
        at = found.end()


def _parse_key(name: Any, key: Any) -> int | Colour | None:
    if key is None:
        return None
    text = str(key)
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    if isinstance(key, tuple | list) and len(key) == 3:
        levels = [int(c) if re.fullmatch("[0-9]{1,3}", str(c)) else 256 for c in key]
        if max(levels) <= 255:
            return levels[0], levels[1], levels[2]
    if re.fullmatch("[0-9]{1,9}", text) and 0 < int(text) < 65536:
        return int(text)
    raise ValueError(
        f"classes: {name!r} is marked by {key!r}, expected an index value (1 to 65535; 0 is the "
        'background) or a colour such as #ff0000; a name with a comma or "=" goes in double quotes'
    )
