"""What comes of a run: a model folder with a card and its curves."""

from __future__ import annotations

import io
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

import vicl
from vicl.files.extras import to_install
from vicl.files.machine import processor
from vicl.files.revision import revision
from vicl.models.pretrained import save_folder
from vicl.storage.cards import architecture_table
from vicl.training.checkpoints import TrainingError
from vicl.training.job import Look, Trained
from vicl.training.recipe.recipe import Recipe
from vicl.training.report import read_log
from vicl.training.run_folder import recipe_text
from vicl.training.settings import DTYPES

MODEL = "model"
CURVES = "curves.png"


def save_result(
    trained: Trained,
    run: Path,
    *,
    recipe: Recipe,
    data: Sequence[str],
    device: torch.device,
    processes: int,
) -> None:
    """Write the model folder of a finished run, whole or not at all.

    Args:
        trained: What came of it.
        run: Its folder, with its log; a model that is there is replaced.
        recipe: What was done.
        data: Lines that say on what.
        device: That a process trained on.
        processes: How many trained.
    """
    model = trained.model
    card = "\n".join(
        (
            "---",
            "library_name: vicl",
            f"license: {'unknown' if recipe.licence == 'unknown' else 'other'}",
            "---",
            f"# {recipe.name}",
            "",
            recipe.description.strip() or f"A {type(model).__name__} trained by vicl.",
            "",
            f"Licence of the weights: {' '.join(recipe.licence.split())}",
            "",
            "## Training",
            "",
            *(f"- Data: {line}" for line in data),
            f"- Seed: {recipe.seed}",
            f"- Time: {_duration(trained.seconds)} on {processes} x {processor(device)}",
            f"- Software: vicl {vicl.__version__} (git {revision() or 'unknown'}), PyTorch "
            f"{torch.__version__}, Python {platform.python_version()}",
            "",
            f"![Curves of the training]({CURVES})",
            "",
            "## Held-out images",
            "",
            *_results(trained.look),
            "",
            "## Architecture",
            "",
            architecture_table(model),
            "",
            "## Recipe",
            "",
            "```yaml",
            recipe_text(recipe).rstrip(),
            "```",
            "",
        )
    )
    save_folder(
        model,
        run / MODEL,
        card=card,
        overwrite=True,
        extras={CURVES: draw_curves(run)},
        dtype=DTYPES[recipe.saved_precision],
    )


def draw_curves(run: Path) -> bytes:
    """Loss, learning rate, gradient norm and held-out figures over the steps, as a PNG.

    Raises:
        TrainingError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError(f"curves need matplotlib: {to_install('train')}") from error
    lines = read_log(run)
    panels = (
        ("loss", ("loss", "held_out_loss")),
        ("held-out PSNR, dB", ("held_out_psnr", "held_out_psnr_floor")),
        ("gradient norm", ("gradient_norm",)),
        ("learning rate", ("lr",)),
    )
    figure = Figure(figsize=(10, 6), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for name in names:
            points = [(line["step"], line[name]) for line in lines if name in line]
            if points:
                marker = "o" if len(points) < 30 else ""
                axes.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=3)
        axes.set(title=title, xlabel="step")
        if axes.lines:
            axes.legend()
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _results(look: Look | None) -> list[str]:
    if look is None:
        return ["None were held out, so nothing was measured on images that training never saw."]
    found = look.figures
    return [
        f"Means over {look.count} images that training never saw; the hole is the last "
        "quarter of the canvas (a VQGAN draws the whole of what it is shown).",
        "",
        "| loss | PSNR, dB | PSNR of the mean visible colour, dB |",
        "|---|---|---|",
        f"| {found['loss']:.4f} | {found['psnr']:.2f} | {found['psnr_floor']:.2f} |",
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s"
