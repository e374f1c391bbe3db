"""How images with classes lie on a disk: folders by class, VTAB-1k's lists, FGVC's files.

Each reader gives, for each split that is there, the images with the keys of their classes: names of
folders, or numbers and words of the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from vicl.files import FileError, display, open_plain
from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.images import ImageError, find_images

SplitName = Literal["train", "val", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "val", "test")

Pairs = list[tuple[Path, str]]
"""Images, and the keys of their classes."""

_LIMIT: Final = 1 << 26
"""Bytes of a list."""

_LISTS: Final[Mapping[SplitName, tuple[str, ...]]] = {
    "train": ("train800.txt", "train800val200.txt"),
    "val": ("val200.txt",),
    "test": ("test.txt",),
}
_NAMES: Final = "classes.txt"
"""Names of the classes of lists, a line each, in the order of their keys; it may be missing."""

_SHOWN: Final = 5


class DataError(FileError):
    """Images with classes that cannot be used; the message says which, why and what to do."""


@dataclass(frozen=True)
class Layout:
    """What lies in a folder.

    Attributes:
        kind: "folders", "vtab" or "fgvc".
        splits: Those that are there.
        names: Of the classes, by their keys, in order.
    """

    kind: str
    splits: Mapping[SplitName, Pairs]
    names: Mapping[str, str]


def read_layout(root: Path) -> Layout:
    """See how images lie in a folder, and list them.

    Raises:
        DataError: If it is none of the layouts, or a list is broken.
    """
    name = display(root)
    if not root.is_dir():
        raise DataError(f"{name}: is no folder; give the one that holds train/ and test/")
    if any((root / split).is_dir() for split in SPLITS):
        splits = {s: _folders(root / s) for s in SPLITS if (root / s).is_dir()}
        keys = sorted({key for pairs in splits.values() for _, key in pairs})
        return Layout("folders", splits, {key: key for key in keys})
    lists = {s: file for s, names in _LISTS.items() for file in [_there(root, names)] if file}
    if lists:
        return _listed(root, "vtab", lists, _read_lines)
    files = {s: root / f"{s}.json" for s in SPLITS if (root / f"{s}.json").is_file()}
    if files:
        return _listed(root, "fgvc", files, _read_mapping)
    raise DataError(
        f"{name}: holds no images with classes; expected train/CLASS/... and test/CLASS/... "
        "(folders), train800.txt and test.txt (VTAB-1k), or train.json and test.json (FGVC)"
    )


def _there(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _folders(split: Path) -> Pairs:
    """Images by class; a class without any is told of by :func:`vicl.tuning.data.open_data`."""
    pairs: Pairs = []
    try:
        folders = sorted(p for p in split.iterdir() if p.is_dir() and not p.name.startswith("."))
        for folder in folders:
            pairs += [(path, folder.name) for path in find_images(folder)]
    except (ImageError, OSError) as error:
        raise DataError(str(error)) from error
    return pairs


def _listed(
    root: Path,
    kind: str,
    files: Mapping[SplitName, Path],
    read: Callable[[Path], list[tuple[str, str]]],
) -> Layout:
    """Images of lists, whose classes have keys."""
    splits: dict[SplitName, Pairs] = {}
    for split, file in files.items():
        splits[split] = [(_inside(root, name, file), key) for name, key in read(file)]
    keys = {key for pairs in splits.values() for _, key in pairs}
    numbered = all(key.isdecimal() for key in keys)
    ordered = sorted(keys, key=int) if numbered else sorted(keys)
    return Layout(kind, splits, _named(root, ordered, numbered=numbered and kind == "vtab"))


def _named(root: Path, keys: list[str], *, numbered: bool) -> dict[str, str]:
    """Names of the keys: those of `classes.txt` where it is there, else the keys themselves."""
    file = root / _NAMES
    if not file.is_file():
        return {key: key for key in keys}
    names = [line.strip() for line in _text(file).splitlines() if line.strip()]
    # VTAB's labels are places in the list; FGVC's are in the order of their keys.
    places = [int(key) for key in keys] if numbered else list(range(len(keys)))
    if places and max(places) >= len(names):
        raise DataError(
            f"{display(file)}: has {len(names)} names, expected at least {max(places) + 1}, one a "
            "class"
        )
    return {key: names[place] for key, place in zip(keys, places, strict=True)}


def _inside(root: Path, name: str, file: Path) -> Path:
    """An image that a list names; never outside its folder."""
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts or "\0" in name:
        raise DataError(
            f"{display(file)}: names {display(name)[:200]}, which is outside of its folder"
        )
    # FGVC's files name images within a folder of images, which has one of these names.
    tried = [root / name, *(root / folder / name for folder in ("images", "Images"))]
    return next((path for path in tried if path.is_file()), tried[0])


def _text(file: Path) -> str:
    with open_plain(file) as stream:
        data = stream.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise DataError(f"{display(file)}: is larger than 64 MiB, which no list is")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{display(file)}: is no text in UTF-8") from error


def _read_lines(file: Path) -> list[tuple[str, str]]:
    """Lines of an image and a label, as VTAB-1k's."""
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        name, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not name or not (label.isascii() and label.isdecimal() and len(label) < 10):
            raise DataError(
                f"{display(file)}: line {number}: got {display(line)[:80]!r}, expected an image "
                "and a label from 0 on, with a space between them"
            )
        pairs.append((name.strip(), str(int(label))))
    return pairs


def _read_mapping(file: Path) -> list[tuple[str, str]]:
    """A JSON object of images with their classes, as FGVC's."""
    try:
        found = parse_json(_text(file))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{display(file)}: {said(error)}") from error
    if not isinstance(found, dict) or not all(
        isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
        for value in found.values()
    ):
        raise DataError(f"{display(file)}: expected an object of images with their classes")
    return [(name, str(value)) for name, value in found.items()]


def told(names: list[str]) -> str:
    """Some names, in a message."""
    shown = ", ".join(display(name)[:60] for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
