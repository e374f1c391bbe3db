"""Labelling figures by hand: which comes next, and what was said of those before."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vicl.figures.arxiv.extract.extracting import FIGURES
from vicl.figures.arxiv.extracted import figures_of
from vicl.figures.arxiv.filtering.labels import Label, read_labels, write_labels
from vicl.files import check_writable, display
from vicl.images import find_images


@dataclass(frozen=True)
class Progress:
    """Where a person is.

    Attributes:
        total: Figures of the folder.
        done: Of them, those that have a label.
        wanted: Of these, those with the label yes.
        coming: Numbers of the next figures, at most `AHEAD`, that which is asked about first.
        undoable: Whether there is a label to be taken back.
    """

    total: int
    done: int
    wanted: int
    coming: tuple[int, ...]
    undoable: bool


AHEAD = 6
"""Figures that a page may load before they are asked about."""


class Labelling:
    """The figures of a folder and their labels; each label is on the disk before the next is asked.

    Args:
        folder: An extract, or any folder of images.
        out: The table of labels; one that is there is gone on with, and what it says of other
            images stays.
        seed: Of the order of figures: at random, so that the first that are labelled stand for
            all.

    Raises:
        FileError: If the folder has no figures, or the table cannot be read or written.
    """

    def __init__(self, folder: Path, out: Path, *, seed: int = 0) -> None:
        if (folder / FIGURES).is_file():
            found = [(folder / one.file, one.paper.number) for one in figures_of(folder)]
        else:
            found = [(path, "") for path in find_images(folder)]
        if not found:
            raise ValueError(f"{display(folder)}: has no figures; give a folder with some")
        check_writable(out)
        order = np.random.default_rng(seed).permutation(len(found))
        self.figures = tuple(found[at][0] for at in order)
        self._papers = tuple(found[at][1] for at in order)
        self._numbers = {path.resolve(): number for number, path in enumerate(self.figures)}
        self._out, self._lock = out, threading.Lock()
        known = read_labels(out) if out.exists() else []
        # In the order in which they were given, so that the last can be taken back.
        self._labels = {label.image.resolve(): label for label in known}

    def progress(self) -> Progress:
        """Where the person is."""
        with self._lock:
            return self._progress()

    def label(self, number: int, *, wanted: bool) -> Progress:
        """Say of a figure whether it is wanted; an earlier label of it is forgotten.

        Raises:
            IndexError: If there is no such figure.
            FileError: If the table cannot be written; nothing is said then.
        """
        if not 0 <= number < len(self.figures):
            raise IndexError(f"figure: got {number}, expected 0 to {len(self.figures) - 1}")
        path = self.figures[number]
        with self._lock:
            labels = {key: label for key, label in self._labels.items() if key != path.resolve()}
            labels[path.resolve()] = Label(path, wanted, self._papers[number])
            self._write(labels)
            return self._progress()

    def undo(self) -> Progress:
        """Take the last label back.

        Raises:
            FileError: If the table cannot be written; the label stays then.
        """
        with self._lock:
            if self._undoable():
                self._write(dict(list(self._labels.items())[:-1]))
            return self._progress()

    def _write(self, labels: dict[Path, Label]) -> None:
        write_labels(self._out, labels.values())
        self._labels = labels

    def _undoable(self) -> bool:
        return bool(self._labels) and next(reversed(self._labels)) in self._numbers

    def _progress(self) -> Progress:
        mine = [label for path, label in self._labels.items() if path in self._numbers]
        coming = []
        for path, number in self._numbers.items():
            if path not in self._labels:
                coming.append(number)
            if len(coming) == AHEAD:
                break
        wanted = sum(label.wanted for label in mine)
        return Progress(len(self.figures), len(mine), wanted, tuple(coming), self._undoable())
