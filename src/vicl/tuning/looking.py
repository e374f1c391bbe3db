"""Looking at the validation images on the way, and ending where they no longer get better."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.exports.sheets import contact_sheet
from vicl.images import ImageError
from vicl.prompts.classifier import Classifier
from vicl.training.job import Look
from vicl.training.report import read_log
from vicl.tuning.answers import Answers
from vicl.tuning.reading import Pictures

LOOKS: Final = 50
"""At most so many in a run, and one an epoch."""

SHEETS: Final = 10
"""Every so many looks a page is drawn, the first time too."""

_COLUMNS, _ROWS = 6, 3


class Patience:
    """Whether a run goes on: it ends after so many looks without a lower Brier score.

    Args:
        looks: So many.
        folder: Of the run, whose log tells of the looks before it goes on; None: it begins.
        steps: Those that a run that goes on has done; what was logged after them is done again.
    """

    def __init__(self, looks: int, folder: Path | None = None, steps: int = 0) -> None:
        self.looks = looks
        self.best: float | None = None
        self.since = 0
        for line in [] if folder is None else read_log(folder):
            if "held_out_loss" in line and line["step"] <= steps:
                self.saw(float(line["held_out_loss"]))

    def saw(self, loss: float) -> None:
        """Take in a look."""
        if self.best is None or loss < self.best:
            self.best, self.since = loss, 0
        else:
            self.since += 1

    def enough(self) -> bool:
        """Whether to end."""
        return self.since >= self.looks


def brier_score(answers: Answers) -> float:
    """Mean squared distance of the scores from the truth, in 0 to 2 (Brier 1950).

    A proper score as cross-entropy is, but with a bound: features of great length make great
    logits, of which a few wrong ones outweigh, in cross-entropy, all that have become right.
    """
    truth = F.one_hot(answers.labels, answers.scores.shape[1])
    return float((answers.scores - truth).square().sum(1).mean())


def look_of(answers: Answers, sheet: Image.Image | None = None) -> Look:
    """What answers say: `loss`, their Brier score, and `accuracy`."""
    loss = brier_score(answers)
    right = answers.right
    return Look({"loss": loss, "accuracy": sum(right) / len(right)}, sheet, len(right))


def looking(
    answer: Callable[[Classifier], Answers],
    pictures: Pictures,
    patience: Patience,
) -> Callable[[Classifier], Look]:
    """Look at the validation images: all of them, and now and then a page of some."""
    numbers = itertools.count()

    def look(classifier: Classifier) -> Look:
        answers, sheet = answer(classifier), None
        if next(numbers) % SHEETS == 0:
            sheet = answered_sheet(pictures, answers)
        found = look_of(answers, sheet)
        patience.saw(found.figures["loss"])
        return found

    return look


def _first(pictures: Pictures, places: Sequence[int]) -> dict[int, Tensor]:
    """Some images, from all over the list, as the classifier gets them."""
    count = min(len(places), _COLUMNS * _ROWS)
    chosen = [places[round(k * (len(places) - 1) / max(1, count - 1))] for k in range(count)]
    found: dict[int, Tensor] = {}
    for place in dict.fromkeys(chosen):
        try:
            found[place] = pictures.load(place).float() / 255
        except ImageError:  # it could be read a moment ago
            continue
    return found


def answered_sheet(pictures: Pictures, answers: Answers) -> Image.Image:
    """A page of some images with what was answered, and the truth where that is another."""
    shown, classes = _first(pictures, answers.places), pictures.classes
    scores, where = answers.scores, {place: row for row, place in enumerate(answers.places)}
    cells: list[tuple[Tensor, str]] = []
    for place, image in shown.items():
        row = where[place]
        label, truth = int(scores[row].argmax()), int(answers.labels[row])
        said = f"{classes[label]} {float(scores[row, label]):.2f}"
        cells.append((image, said if label == truth else f"{said}\nnot {classes[truth]}"))
    rows: list[list[Tensor | None]] = []
    words: list[list[str | None]] = []
    for start in range(0, len(cells), _COLUMNS):
        part = cells[start : start + _COLUMNS]
        rest = [None] * (min(len(cells), _COLUMNS) - len(part))
        rows.append([*(image for image, _ in part), *rest])
        words.append([*(text for _, text in part), *rest])
    headers = [""] * (len(rows[0]) if rows else 1)
    return contact_sheet(rows or [[None]], headers=headers, captions=words or [[None]], cell=96)
