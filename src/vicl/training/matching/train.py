"""Training the head as its recipe says: from pictures to a model folder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vicl.models.devices import Device
from vicl.models.matching.head import MatchingHead
from vicl.models.pretrained import save_folder
from vicl.training.job import Look
from vicl.training.matching.banks import LOOKING_SEED, build_banks, check_levels, fit_to_bank
from vicl.training.matching.calibrating import fit_temperature
from vicl.training.matching.episodes import Episodes
from vicl.training.matching.heads import contact_sheet, head_card
from vicl.training.matching.objective import HeadObjective, mask_loss
from vicl.training.recipe.head import HeadRecipe
from vicl.training.result import MODEL
from vicl.training.run_folder import prepare_folder

_ROWS = 12
"""Episodes on a contact sheet."""


def train_head(
    recipe: HeadRecipe, output: Path, *, resume: bool = False, device: Device = "auto"
) -> Path:
    """Train as a recipe says.

    Args:
        recipe: What to do.
        output: The run's folder.
        resume: Go on from the latest checkpoint in `output`, if there is one.
        device: "cpu", "cuda" or "mps"; "auto" takes the best there is.

    Returns:
        The folder of the trained head.

    Raises:
        TrainingError: As :func:`vicl.training.train.train`.
        RecipeError: If there are no pictures to learn from, or the encoder's levels are others.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    check_levels("head.details", recipe.head.encoder, [recipe.head.details], first=True)
    prepare_folder(output, recipe, resume=resume)
    held_out, training = build_banks(
        output, recipe.data, recipe.seed, recipe.head.encoder, recipe.workers
    )
    episodes = Episodes(training, recipe.data, recipe.seed)
    looked_at = Episodes(held_out, recipe.data, LOOKING_SEED, plain=True)
    # Matched once, for all looks and for the temperature.
    matched = functools.cache(functools.partial(_matched, looked_at, recipe.looks))
    torch.manual_seed(recipe.seed)
    fresh = MatchingHead(recipe.head)
    objective, look = HeadObjective(fresh), _looking(matched)
    trained = fit_to_bank(recipe, fresh, objective, episodes, look, output=output, device=device)
    head = trained.model
    head.name = recipe.name
    temperature = fit_temperature(head, matched())
    head.config = head.config.model_copy(update={"temperature": temperature})
    folder = output / MODEL
    card = head_card(recipe, trained, len(episodes.bank.rows), "episodes")
    save_folder(head, folder, card=card, overwrite=True, dtype=torch.float16)
    return folder


def _matched(episodes: Episodes, count: int) -> list[list[Tensor]]:
    """The first episodes, in half precision: a few hundred are kept."""
    return [[part.half() for part in episodes[number]] for number in range(count)]


def _looking(matched: Callable[[], list[list[Tensor]]]) -> Callable[[Any], Look]:
    """Look at held-out episodes, which are matched when they are first wanted."""

    @torch.inference_mode()
    def look(head: Any) -> Look:
        place = next(head.parameters()).device
        losses, overlaps, found = [], [], []
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        for parts in matched():
            *seen, truth, _, told = (part.float()[None].to(place) for part in parts)
            scored = head(*seen)
            there = bool((truth > 0.5).any())
            if there:
                losses.append(float(mask_loss(scored.mask, truth, torch.ones(1, device=place))))
                answer, wanted = scored.mask > 0, truth > 0.5
                overlaps.append(float((answer & wanted).sum() / (answer | wanted).sum()))
            if told:
                found.append((float(scored.presence), there))
            if len(rows) < _ROWS:
                chance = torch.sigmoid(scored.mask)[0]
                rows.append((seen[-1][0], truth[0].clamp(min=0), chance))
        figures = {
            "loss": float(np.mean(losses)),
            "iou": float(np.mean(overlaps)),
        }
        if found:
            figures["presence"] = float(np.mean([(score > 0) == there for score, there in found]))
        return Look(figures, contact_sheet(rows), len(matched()))

    return look
