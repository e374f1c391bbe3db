"""Training the outline head: from pictures with their objects to a model folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from vicl.models.devices import Device
from vicl.models.matching.head import HeadConfig
from vicl.models.matching.outlines import OutlineHead
from vicl.models.pretrained import save_folder
from vicl.training.job import Look
from vicl.training.matching.bank import Bank, open_bank
from vicl.training.matching.banks import build_banks, check_levels, fit_to_bank
from vicl.training.matching.heads import contact_sheet, head_card
from vicl.training.matching.objective import OutlineObjective, outline_loss, outline_sides
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.head import OutlineData, OutlineRecipe
from vicl.training.result import MODEL
from vicl.training.run_folder import prepare_folder
from vicl.training.seeds import Purpose, numbers

_ROWS: Final = 12
"""Pictures on a contact sheet."""

_REACH: Final = 5
"""Around what has a label a border would have been drawn: so many places far. Beyond it the ground
may have borders of its own, which nobody drew."""

_FEW: Final = 20
"""A picture with fewer places on lines, or off them, tells nothing of the precision."""


def train_outlines(
    recipe: OutlineRecipe, output: Path, *, resume: bool = False, device: Device = "auto"
) -> Path:
    """Train as a recipe says; see :func:`vicl.training.matching.train.train_head`.

    Raises:
        RecipeError: Likewise; and if the encoder is not that of the package's head for masks.
    """
    check_levels("head.channels", recipe.head.encoder, recipe.head.channels)
    if recipe.head.encoder != HeadConfig().encoder:
        raise RecipeError(
            f"head.encoder: got {recipe.head.encoder!r}, expected {HeadConfig().encoder!r}: the "
            "head for lines stands beside the package's for masks, which reads that one"
        )
    prepare_folder(output, recipe, resume=resume)
    held_out, training = build_banks(
        output, recipe.data, recipe.seed, recipe.head.encoder, recipe.workers
    )
    shown = Outlines(training, recipe.data, recipe.seed)
    held = open_bank(held_out)
    torch.manual_seed(recipe.seed)
    head = OutlineHead(recipe.head)
    look = _looking(held, _spread(held, recipe.looks))
    trained = fit_to_bank(
        recipe, head, OutlineObjective(head), shown, look, output=output, device=device
    )
    trained.model.name = recipe.name
    folder = output / MODEL
    card = head_card(recipe, trained, len(shown.bank.rows), "pictures")
    save_folder(trained.model, folder, card=card, overwrite=True, dtype=torch.float16)
    return folder


class Outlines(Dataset[tuple[Tensor, ...]]):
    """Pictures with their outlines, by number.

    Args:
        folder: Of the bank.
        data: How they are drawn.
        seed: Likewise.
    """

    def __init__(self, folder: Path, data: OutlineData, seed: int) -> None:
        self.folder, self.data, self.seed = folder, data, seed

    @cached_property
    def bank(self) -> Bank:
        """Opened where it is used: its files are not sent to other processes."""
        return open_bank(self.folder)

    @cached_property
    def _by_source(self) -> list[tuple[float, list[int]]]:
        """The weight and the rows of each source."""
        composed = (self.data.composed, self.data.mosaics)
        weights = [one.weight if one else 0.0 for one in (*self.data.photographs, *composed)]
        found: dict[int, list[int]] = defaultdict(list)
        for index, row in enumerate(self.bank.rows):
            found[row.source].append(index)
        return [(weights[source], rows) for source, rows in sorted(found.items())]

    def __getstate__(self) -> dict[str, object]:
        return {name: self.__dict__[name] for name in ("folder", "data", "seed")}

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """The encoder's levels, the picture and its outlines (see :func:`outlines_of`)."""
        rng = numbers(self.seed, Purpose.EPISODES, number)
        weights = np.array([weight for weight, _ in self._by_source])
        _, rows = self._by_source[int(rng.choice(len(weights), p=weights / weights.sum()))]
        index = rows[int(rng.integers(len(rows)))]
        parts = _picture(self.bank, index)
        return tuple(part.flip(-1) for part in parts) if rng.random() < 0.5 else parts


def outlines_of(objects: np.ndarray, labels: UInt8[np.ndarray, "p p"]) -> Float[np.ndarray, "p p"]:
    """Where objects end: 1 on both sides of a border, 0 off it, -1 where nobody knows.

    Args:
        objects: Numbers, (p, p); 0 = of none.
        labels: 255 = unknown.
    """
    from scipy import ndimage

    border = np.zeros(objects.shape, bool)
    for axis in (0, 1):
        differs = np.diff(objects, axis=axis) != 0
        for side in ((1, 0), (0, 1)):
            border |= np.pad(differs, [side if a == axis else (0, 0) for a in (0, 1)])
    unknown = ndimage.distance_transform_edt(objects == 0) > _REACH
    unknown |= ndimage.grey_dilation(labels, size=(3, 3)) == 255
    return np.where(unknown, np.float32(-1), border.astype(np.float32))


def _picture(bank: Bank, index: int) -> tuple[Tensor, ...]:
    view = bank.view(index)
    truth = outlines_of(np.array(bank.objects[index]), np.array(bank.labels[index]))
    return *view.levels, view.picture, torch.from_numpy(truth)


def _spread(bank: Bank, count: int) -> list[int]:
    """So many rows, of all sources."""
    return sorted({round(row) for row in np.linspace(0, len(bank.rows) - 1, count)})


def _looking(bank: Bank, rows: list[int]) -> Callable[[Any], Look]:
    """Look at held-out pictures: the loss, and the average precision within each source."""

    @torch.inference_mode()
    def look(head: Any) -> Look:
        from sklearn.metrics import average_precision_score

        place = next(head.parameters()).device
        losses, sheet = [], []
        found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
        every = max(1, len(rows) // _ROWS)
        for number, index in enumerate(rows):
            *levels, picture, truth = (part[None].to(place) for part in _picture(bank, index))
            scores = head(levels, picture)
            on, off = outline_sides(truth)
            if min(int(on.sum()), int(off.sum())) < _FEW:
                continue
            losses.append(float(outline_loss(scores, truth)))
            kept = on | off
            found[bank.rows[index].source].append(
                (on[kept].cpu().numpy(), scores[kept].cpu().numpy())
            )
            if number % every == 0:
                sheet.append((picture[0], truth[0].clamp(min=0), torch.sigmoid(scores[0])))
        precision = [
            average_precision_score(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
            for pairs in found.values()
        ]
        figures = {"loss": float(np.mean(losses)), "precision": float(np.mean(precision))}
        return Look(figures, contact_sheet(sheet), len(losses))

    return look
