"""The card and the contact sheet of a head of the engine `matching`."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from vicl.training.job import Trained
from vicl.training.recipe.head import HeadRun
from vicl.training.run_folder import recipe_text


def head_card(recipe: HeadRun, trained: Trained, count: int, of: str) -> str:
    """The model card of a trained head.

    Args:
        recipe: By which it was trained.
        trained: What came of it.
        count: Of the pictures that it learned from.
        of: What a step takes some of, and what is held out: episodes or pictures.
    """
    look = trained.look
    figures = "none were looked at"
    if look is not None:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in look.figures.items())
    return "\n".join(
        (
            "---",
            "library_name: vicl",
            f"license: {'unknown' if recipe.licence == 'unknown' else 'other'}",
            "---",
            f"# {recipe.name}",
            "",
            recipe.description.strip() or "A head of vicl's engine `matching`.",
            "",
            f"Licence of the weights: {' '.join(recipe.licence.split())}",
            "",
            f"- Encoder: {recipe.head.encoder}, frozen",
            f"- Pictures: {count}, {recipe.schedule.steps} steps of {recipe.batch.size} "
            f"{of}, seed {recipe.seed}",
            f"- Time: {trained.seconds / 60:.0f} minutes",
            f"- Held-out {of} ({0 if look is None else look.count}): {figures}",
            "",
            "```yaml",
            recipe_text(recipe).rstrip(),
            "```",
            "",
        )
    )


def contact_sheet(rows: list[tuple[Tensor, Tensor, Tensor]]) -> Image.Image:
    """A row each: the picture, the truth, the answer."""
    lines = [
        torch.cat([picture, *(one.expand(3, -1, -1) for one in (truth, chance))], 2)
        for picture, truth, chance in rows
    ]
    pixels = (torch.cat(lines, 1).clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
