"""Model cards: the `README.md` of a model folder, saying what is known and what is not."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import nn

from vicl.files import FileError, display, open_plain
from vicl.storage.folder import CARD

NO_LICENCE: Final = "no licence stated"

_HEAD_LIMIT: Final = 1 << 16
"""What is read of a card: its head stands first."""


def plain_card(model: nn.Module, name: str) -> str:
    """A model card that says what is known without being told: the architecture."""
    how = " saved by vicl. Its data, training and licence were not recorded."
    return _card(model, name, how, ())


def _card(model: nn.Module, name: str, how: str, more: Sequence[str], *fields: str) -> str:
    """The parts that cards have in common: the head with `fields`, how it came about, its size."""
    head = ("---", "library_name: vicl", *fields, "---", f"# {display(name)}", "")
    said = (f"A {type(model).__name__}{how}", "", *more, architecture_table(model), "")
    return "\n".join((*head, *said))


def architecture_table(model: nn.Module) -> str:
    """Its configuration, how it is asked and the number of weights, as a Markdown table."""
    parts: list[Any] = [part for part in (model.config, model.asking) if part is not None]
    count = sum(value.numel() for value in model.state_dict().values())
    rows = [f"| {name} | {value} |" for part in parts for name, value in part.model_dump().items()]
    return "\n".join(("| part | value |", "|---|---|", *rows, f"| weights | {count:,} |"))


@dataclass(frozen=True)
class Origin:
    """A file that weights come from: its name, bytes and SHA-256."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], sha256: str) -> Origin:
        """Describe a file whose hash is known."""
        return cls(Path(path).name, Path(path).stat().st_size, sha256)


def converted_card(
    model: nn.Module, name: str, origins: Sequence[Origin], licence: str = "unknown"
) -> str:
    """The card of a converted checkpoint: where it comes from, and under what licence.

    Args:
        model: The model.
        name: Of its folder.
        origins: The files that were converted.
        licence: In words, as the user gave it.
    """
    terms = " ".join(licence.split())[:2000] or "unknown"
    files = [f"| {_cell(o.name)} | {o.size:,} | {o.sha256} |" for o in origins]
    how = (
        ", converted by `vicl convert` from files that others published. No figure was measured on "
        "it here."
    )
    source = (
        "Source of MAE-VQGAN: Bar, Gandelsman, Darrell, Globerson and Efros 2022, "
        "arXiv:2209.00647; of VQGAN: Esser, Rombach and Ommer 2021, arXiv:2012.09841."
    )
    table = ("| file | bytes | SHA-256 |", "|---|---|---|", *files, "")
    # The hub's field takes names of its own list only; the words stand in the text.
    listed = f"license: {'unknown' if terms == 'unknown' else 'other'}"
    more = (f"Licence of the weights: {terms}", "", *table, source, "")
    return _card(model, name, how, more, listed)


def stated_licence(folder: Path) -> str:
    """The licence that a folder's card states, in its words and one line; or that it states none.

    Args:
        folder: Of a model, also another's: its card may be missing, or a stranger's.
    """
    from vicl.files.plain_yaml import FAULTS, parse

    try:
        with open_plain(folder / CARD) as stream:
            head = stream.read(_HEAD_LIMIT)
    except (FileError, OSError):
        return NO_LICENCE
    found = re.match(rb"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", head, re.DOTALL)
    try:
        said = parse(found[1])[0] if found else None
    except FAULTS:
        return NO_LICENCE
    fields = said if isinstance(said, dict) else {}
    words: list[str] = []
    for key in ("license", "license_name", "license_link"):
        value = fields.get(key)
        words += [str(one) for one in (value if isinstance(value, list) else [value]) if one]
    return display(", ".join(dict.fromkeys(words)))[:300] if words else NO_LICENCE


def _cell(text: str) -> str:
    """Text as it may stand in a table."""
    return display(text)[:200].replace("|", "\\|").replace("`", "'")
