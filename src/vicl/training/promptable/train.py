"""Training the promptable network as its recipe says: from pictures to a model folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vicl.models.devices import Device
from vicl.models.pretrained import save_folder
from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.network import PromptableNet
from vicl.training.job import Look
from vicl.training.matching.banks import LOOKING_SEED, build_banks, check_levels, fit_to_bank
from vicl.training.promptable.objective import (
    PromptableObjective,
    corrected,
    losses_of,
    overlaps_of,
    shortened,
)
from vicl.training.promptable.prompts import Asked
from vicl.training.promptable.scores import fit_scores
from vicl.training.recipe.promptable import PromptableRecipe
from vicl.training.result import MODEL
from vicl.training.run_folder import prepare_folder, recipe_text

_CLICKS = 3
"""After so many answers of a held-out prompt its IoU is told again."""


def train_promptable(
    recipe: PromptableRecipe, output: Path, *, resume: bool = False, device: Device = "auto"
) -> Path:
    """Train as a recipe says.

    Args:
        recipe: What to do.
        output: The run's folder.
        resume: Go on from the latest checkpoint in `output`, if there is one.
        device: "cpu", "cuda" or "mps"; "auto" takes the best there is.

    Returns:
        The folder of the trained network.

    Raises:
        TrainingError: As :func:`vicl.training.train.train`.
        RecipeError: If there are no pictures to learn from, or the encoder's levels are others.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    check_levels("net.channels", recipe.net.encoder, recipe.net.channels)
    prepare_folder(output, recipe, resume=resume)
    held_out, training = build_banks(
        output, recipe.data, recipe.seed, recipe.net.encoder, recipe.workers
    )
    asked = Asked(training, recipe.data, recipe.seed)
    looked_at = Asked(held_out, recipe.data, LOOKING_SEED)
    torch.manual_seed(recipe.seed)
    fresh = PromptableNet(recipe.net)
    objective = PromptableObjective(fresh, recipe.data.rounds, recipe.seed)
    look = _looking(looked_at, recipe.looks, recipe.evaluation.rows)
    trained = fit_to_bank(recipe, fresh, objective, asked, look, output=output, device=device)
    net = trained.model
    net.name = recipe.name
    fit_scores(net, asked, count=recipe.scores, rounds=2)
    figures = look(net).figures
    folder = output / MODEL
    card = promptable_card(recipe, trained.seconds, figures, len(asked.bank.rows))
    save_folder(net, folder, card=card, overwrite=True, dtype=torch.float16)
    return folder


def _looking(asked: Asked, count: int, rows: int) -> Callable[[Any], Look]:
    """Look at held-out prompts: the first answer, and the one after some clicks."""

    @torch.inference_mode()
    def look(net: Any) -> Look:
        place = next(net.parameters()).device
        told: dict[str, list[float]] = {"loss": [], "first": [], "best": [], "clicked": []}
        shown: list[Tensor] = []
        for number in range(count):
            parts = [part[None].to(place) for part in asked[number]]
            *levels, picture, truth, points, labels, box, earlier = parts
            guide, rng = shortened(Guide(points, labels, box, earlier)), np.random.default_rng(0)
            neck = net.encode(tuple(levels), picture)
            found = net(neck, guide)
            each, overlaps = losses_of(found, truth)
            told["loss"].append(float(each.min()))
            told["best"].append(float(overlaps.max()))
            told["first"].append(float(overlaps[0, found.ious[0].argmax()]))
            if len(shown) < rows:
                chances = torch.sigmoid(found.masks[0, found.ious[0].argsort(descending=True)])
                marked = _marked(picture[0], guide)
                row = [marked, *(c.expand(3, -1, -1) for c in (truth[0].clamp(min=0), *chances))]
                shown.append(torch.cat(row, 2))
            for _ in range(_CLICKS - 1):
                guide = corrected(rng, found, truth, guide)
                found = net(neck, guide)
            overlaps = overlaps_of(found.masks, truth)
            told["clicked"].append(float(overlaps[0, found.ious[0].argmax()]))
        pixels = (torch.cat(shown, 1).clamp(0, 1) * 255).round().byte()
        sheet = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
        return Look({name: float(np.mean(each)) for name, each in told.items()}, sheet, count)

    return look


def _marked(picture: Tensor, guide: Guide) -> Tensor:
    """The picture with points in (green) and out (red), and the box."""
    drawn, side = picture.clone(), picture.shape[-1]
    for (x, y), label in zip(guide.points[0].tolist(), guide.labels[0].tolist(), strict=True):
        if label >= 0:
            colour = torch.tensor([1.0 - label, float(label), 0.0], device=drawn.device)
            across, down = int(x * side), int(y * side)
            rows, columns = slice(max(0, down - 2), down + 3), slice(max(0, across - 2), across + 3)
            drawn[:, rows, columns] = colour[:, None, None]
    if guide.box[0, 2] > guide.box[0, 0]:
        x0, y0, x1, y1 = (min(side - 1, int(v * side)) for v in guide.box[0].tolist())
        drawn[:, [y0, y1], x0:x1] = drawn[:, y0:y1, [x0, x1]] = 1
    return drawn


def promptable_card(
    recipe: PromptableRecipe, seconds: float, figures: Mapping[str, float], pictures: int
) -> str:
    """The model card of a trained network."""
    told = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    return "\n".join(
        (
            "---",
            "library_name: vicl",
            f"license: {'unknown' if recipe.licence == 'unknown' else 'other'}",
            "---",
            f"# {recipe.name}",
            "",
            recipe.description.strip() or "A promptable network for vicl.load_segmenter.",
            "",
            f"Licence of the weights: {' '.join(recipe.licence.split())}",
            "",
            f"- Encoder: {recipe.net.encoder}, frozen",
            f"- Pictures: {pictures}, {recipe.schedule.steps} steps of {recipe.batch.size} "
            f"prompts, seed {recipe.seed}",
            f"- Time: {seconds / 60:.0f} minutes",
            f"- Held-out prompts ({recipe.looks}): {told} (IoU of the candidate with the highest "
            f"score, of the best one, and of the first after {_CLICKS - 1} clicks more)",
            "",
            "```yaml",
            recipe_text(recipe).rstrip(),
            "```",
            "",
        )
    )
