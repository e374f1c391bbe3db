"""Where answers go: the rules for OUT, and names that tell queries apart.

OUT is a folder if it is one already, if it ends with a slash, or if its ending is not a file's
(`masks`, `masks.v2`). Else it is a file, for one query; a COCO file holds any number.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from vicl.exports.annotation import ExportError
from vicl.exports.answers import Query
from vicl.files import display
from vicl.images import IMAGE_SUFFIXES
from vicl.images.encoding import WRITERS

_SUFFIXES: Final = {"coco": ".json", "coco-polygons": ".json", "labelme": ".json", "voc": ".xml"}
_TEXT: Final = frozenset({".json", ".txt", ".xml", ".yaml", ".yml", ".jsonl", ".csv"})
_LOSSY: Final = frozenset({".jpg", ".jpeg", ".jfif"})


def suffix_of(format: str) -> str:
    """What files of a format end in; pictures may end in any other suffix of pictures."""
    return ".png" if format == "png" else _SUFFIXES.get(format, ".txt")


def is_file(
    out: str | os.PathLike[str], queries: Sequence[Query], format: str, *, masks: bool
) -> bool:
    """Whether OUT is the file of the answer, or of all COCO answers; else it is a folder.

    Args:
        out: As it was given, with a slash at its end where it has one.
        queries: All that are to be answered.
        format: One of :data:`vicl.exports.writers.FORMATS`.
        masks: Whether the answers have masks or boxes, which a lossy picture would blur.

    Raises:
        ExportError: If OUT is a file's name, but of another format, or for several queries.
    """
    name, path = display(out), Path(out)
    ending = path.suffix.lower()
    ends = os.fspath(out).endswith(("/", os.sep))
    pictures, wanted = ending in IMAGE_SUFFIXES, suffix_of(format)
    if path.is_dir() or ends or not (pictures or ending in _TEXT or path.is_file()):
        if path.is_file():
            raise ExportError(f"{name}: is a file, and ends with a slash as a folder does")
        return False
    fits = ending in WRITERS if format == "png" else ending == wanted
    if not fits:
        raise ExportError(
            f"{name}: {format} answers are not {ending or 'nameless'} files, but {wanted}; give a "
            f"name in {wanted}, a folder (end it with a slash), or another format"
        )
    if masks and ending in _LOSSY:
        raise ExportError(f"{name}: JPEG blurs the values of a mask; give a name in .png")
    if len(queries) > 1 and not format.startswith("coco"):
        raise ExportError(
            f"{name}: is the name of one file, for {len(queries)} queries; give a folder (end it "
            "with a slash)"
        )
    return True


def check_places(
    outputs: Mapping[Query, Sequence[Path]],
    *,
    inputs: Iterable[Path],
    companions: Iterable[Path] = (),
    others: Iterable[Path] = (),
) -> None:
    """Refuse a run that would write over one of its inputs, or one file twice.

    Args:
        outputs: The files of each query: its answer, alternatives, what stands beside it.
        inputs: What the answers are made from, beside the queries.
        companions: Files that say what the classes are.
        others: What else is written: a contact sheet, a prompt file, one file of all answers.

    Raises:
        ExportError: Which file is meant for two things.
    """
    own = {path.resolve() for path in [*inputs, *(query.path for query in outputs)]}
    taken = dict.fromkeys(companions, "which is to say what the classes are")
    for other in others:
        if other.resolve() in own:
            raise ExportError(f"{display(other)}: is one of the inputs; give another name")
        place = Path(os.path.normpath(other))
        if place in taken:
            raise ExportError(f"{display(other)}: is asked for twice; give another name to one")
        taken[place] = "which is asked for beside the answers"
    for query, files in outputs.items():
        for file in files:
            if file.resolve() in own:
                raise ExportError(f"{display(file)} is one of the inputs; give another --output")
            place = Path(os.path.normpath(file))
            if place in taken:
                raise ExportError(
                    f"{display(query.path)}: its answer would be {display(file)}, {taken[place]}; "
                    "rename the image, or answer it apart"
                )
            taken[place] = f"which {display(query.path)} is to get too"


def distinct_names(queries: Iterable[Query]) -> dict[Query, PurePath]:
    """What each query is called in outputs: its `relative`, where no other one has the same.

    Others are called by their places below the folder that they share.

    Raises:
        ExportError: If two cannot be told apart.
    """
    groups: dict[PurePath, list[Query]] = defaultdict(list)
    for query in queries:
        groups[query.relative].append(query)
    names: dict[Query, PurePath] = {}
    for relative, group in groups.items():
        if len(group) == 1:
            names[group[0]] = relative
            continue
        folders = [Path(os.path.abspath(query.path)).parent for query in group]  # noqa: PTH100 - not resolved
        places = [folder / relative.name for folder in folders]
        shared = Path(os.path.commonpath(places))
        for query, place in zip(group, places, strict=True):
            names[query] = place.relative_to(shared)
    taken: dict[PurePath, Path] = {}
    for query, name in names.items():
        if name in taken:
            raise ExportError(
                f"{display(query.path)} and {display(taken[name])} would both be called "
                f"{display(name)}; rename one, or answer them apart"
            )
        taken[name] = query.path
    return names


def file_names(names: dict[Query, PurePath], suffix: str) -> dict[Query, PurePath]:
    """The file of each query's answer: its name with the suffix instead of its own.

    Where two differ by their suffix only, both keep it: `a.jpg.png`, `a.tif.png`.
    """
    plain = {query: name.with_suffix(suffix) for query, name in names.items()}
    counts: dict[PurePath, int] = defaultdict(int)
    for name in plain.values():
        counts[name] += 1
    return {
        query: name if counts[name] == 1 else names[query].with_name(names[query].name + suffix)
        for query, name in plain.items()
    }
