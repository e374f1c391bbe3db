"""Images with classes for tuning: their splits, checked; what is validated on; a few shots."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from vicl.files import display
from vicl.training.seeds import Purpose, numbers
from vicl.tuning.layouts import DataError, SplitName, read_layout, told
from vicl.tuning.protocols import few_shot, shots_for_validation

VALIDATED: Final = 0.2
"""Share of the training images that is validated on where there is no such split."""

_log = logging.getLogger(__name__)


class Labelled(NamedTuple):
    """An image and its class.

    Attributes:
        path: Its file.
        label: Place of its class among the classes.
    """

    path: Path
    label: int


@dataclass(frozen=True)
class ClassData:
    """Images with classes.

    Attributes:
        root: Their folder.
        classes: Names, in the order of the labels.
        train: What is learned from;
        val: what settings and the end are chosen by;
        test: what is only scored.
        notes: What was done that the folder does not say.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[Labelled, ...]
    val: tuple[Labelled, ...]
    test: tuple[Labelled, ...]
    notes: tuple[str, ...] = ()

    def only(self, classes: Sequence[str]) -> ClassData:
        """Some of the classes with their images, as if there were no others."""
        labels = {self.classes.index(name): place for place, name in enumerate(classes)}

        def kept(items: Sequence[Labelled]) -> tuple[Labelled, ...]:
            return tuple(
                Labelled(item.path, labels[item.label]) for item in items if item.label in labels
            )

        return replace(
            self,
            classes=tuple(classes),
            train=kept(self.train),
            val=kept(self.val),
            test=kept(self.test),
            notes=(*self.notes, f"{len(classes)} of {len(self.classes)} classes"),
        )


def open_data(root: Path, *, seed: int = 0, shots: int | None = None) -> ClassData:
    """List images to tune on.

    Args:
        root: Of one of the layouts of :func:`vicl.tuning.layouts.read_layout`, with a split to
            train on and one to test on.
        seed: Of what is drawn: the validation split where there is none, and the shots.
        shots: Images of each class to learn from; None: all. At most four of each are then
            validated on.

    Raises:
        DataError: If a split is missing or empty, a class is missing from one, or there are fewer
            than two classes.
    """
    layout, name = read_layout(root), display(root)
    for split in ("train", "test"):
        if not layout.splits.get(split):
            raise DataError(f"{name}: has no images to {split} on; expected some in its {split}/")
    keys = list(layout.names)
    _check_classes(root, layout.splits, keys)
    labels = {key: place for place, key in enumerate(keys)}
    listed = {
        split: tuple(Labelled(path, labels[key]) for path, key in pairs)
        for split, pairs in layout.splits.items()
    }
    train, val, notes = listed["train"], listed.get("val", ()), []
    if not val:
        train, val = hold_out(train, seed=seed)
        notes.append(f"no val split: {len(val)} of the training images are validated on")
    if shots is not None:
        train = draw_shots(train, shots, seed=seed)
        val = draw_shots(val, shots_for_validation(shots), seed=seed)
        notes.append(f"{shots} of each class: {len(train)} to train on, {len(val)} to validate on")
    for note in notes:
        _log.info("%s: %s", name, note)
    classes = tuple(layout.names.values())
    if len(set(classes)) < len(classes):
        raise DataError(f"{name}: two classes have the same name among {told(list(classes))}")
    return ClassData(root, classes, train, val, listed["test"], tuple(notes))


def open_split(root: Path, split: SplitName = "test") -> tuple[tuple[str, ...], list[Labelled]]:
    """The classes and images of one split, to be scored.

    Raises:
        DataError: If there is no such split, or nothing in it.
    """
    layout = read_layout(root)
    pairs = layout.splits.get(split)
    if not pairs:
        there = ", ".join(layout.splits) or "none"
        raise DataError(f"{display(root)}: has no images in a split {split}; there is {there}")
    here = {key for _, key in pairs}
    keys = [key for key in layout.names if key in here]
    labels = {key: place for place, key in enumerate(keys)}
    classes = tuple(layout.names[key] for key in keys)
    return classes, [Labelled(path, labels[key]) for path, key in pairs]


def _check_classes(
    root: Path, splits: Mapping[SplitName, Sequence[tuple[Path, str]]], keys: list[str]
) -> None:
    """Refuse one class alone, and a class that a split lacks."""
    name = display(root)
    empty = [
        folder.name
        for split in splits
        if (root / split).is_dir()
        for folder in sorted((root / split).iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in keys
    ]
    if empty:
        raise DataError(f"{name}: there are no images of {told(empty)}; add some, or remove it")
    if len(keys) < 2:
        raise DataError(
            f"{name}: has one class only ({told(keys)}); expected two or more, each with images of "
            "its own"
        )
    for split, pairs in splits.items():
        here = {key for _, key in pairs}
        missing = [key for key in keys if key not in here]
        if missing:
            raise DataError(
                f"{name}: class {told(missing)} is missing from {split}; expected images of every "
                "class in every split"
            )


def hold_out(
    train: Sequence[Labelled], *, seed: int
) -> tuple[tuple[Labelled, ...], tuple[Labelled, ...]]:
    """Split training images in those that are learned from and those that are validated on.

    Of each class the same share, :data:`VALIDATED`, and one at least; a class of one image keeps it
    to learn from.
    """
    held: set[Labelled] = set()
    for label, items in _by_class(train).items():
        count = min(max(1, round(VALIDATED * len(items))), len(items) - 1)
        order = numbers(seed, Purpose.SPLIT, label).permutation(len(items))
        held |= {items[place] for place in order[:count]}
    return tuple(i for i in train if i not in held), tuple(i for i in train if i in held)


def draw_shots(items: Sequence[Labelled], shots: int, *, seed: int) -> tuple[Labelled, ...]:
    """Draw so many images of each class, or all where it has fewer.

    Raises:
        ValueError: If it is fewer than one.
    """
    drawn = set(few_shot([item.label for item in items], shots, seed))
    return tuple(item for number, item in enumerate(items) if number in drawn)


def _by_class(items: Sequence[Labelled]) -> dict[int, list[Labelled]]:
    found: dict[int, list[Labelled]] = {}
    for item in items:
        found.setdefault(item.label, []).append(item)
    return dict(sorted(found.items()))
