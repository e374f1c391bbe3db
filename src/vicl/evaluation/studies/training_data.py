"""What a model was trained on, and on how much of it: checkpoints side by side on one task.

Checkpoints are given, or trained here from recipes at a small budget that is the same for all
(:func:`train_recipes`): the same number of steps, so that only the data differ and not how long a
model looked at them.

Source: Bar et al. 2022, arXiv:2209.00647, section 5 (figures, ImageNet, and both).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vicl.engine import InContextModel
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.running.engines import as_engine
from vicl.evaluation.studies.table import StudyTable
from vicl.evaluation.studies.variants import Asking, measure, tabulate
from vicl.loading import load_model
from vicl.models.devices import Device
from vicl.models.floors import Copy
from vicl.training.data.training_data import open_data
from vicl.training.recipe.data import HeldOut, RecipeError
from vicl.training.recipe.recipe import Recipe
from vicl.training.train import train


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model, and what it was trained on.

    Attributes:
        trained_on: In words, such as "figures, a tenth of them".
        engine: The model, ready to answer.
        series: Checkpoints of one series differ in the amount of data: they make one curve, and
            are compared with its first.
        images: How many it was trained on; None where nobody knows.
        budget: How long, in words; "" where nobody knows.
    """

    trained_on: str
    engine: InContextModel
    series: str = "model"
    images: int | None = None
    budget: str = ""


def run(
    checkpoints: Sequence[Checkpoint],
    dataset: Dataset,
    asking: Asking,
    *,
    examples: int = 1,
) -> StudyTable:
    """Let checkpoints answer the same episodes.

    Args:
        checkpoints: At least one; in the table Copy comes before them.
        dataset: Of any task.
        asking: Which episodes, and how.
        examples: How many an episode shows.

    Returns:
        The table; along its figure's axis runs the number of images, where all are known.

    Raises:
        ValueError: If there is no checkpoint, or two of a series are described alike.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    keys = [(one.trained_on, one.series) for one in checkpoints]
    if not keys or len(set(keys)) != len(keys):
        raise ValueError(
            f"checkpoints: got {keys or 'none'}, expected at least one, and in a series each with "
            "other words on what it was trained on"
        )
    asked = {("nothing", Copy.name): Copy()} | dict(
        zip(keys, (one.engine for one in checkpoints), strict=True)
    )
    measured = measure(asked, dataset, asking.episodes(dataset, examples), asking)
    amounts = [one.images for one in checkpoints]
    known = None not in amounts
    budgets = dict.fromkeys(one.budget for one in checkpoints)
    return tabulate(
        "training-data",
        "Training data and its amount",
        measured,
        dataset,
        [f"Trained for {budget}." for budget in budgets if budget],
        x=(None, *(None if n is None else float(n) for n in amounts)) if known else None,
        x_title="images trained on" if known else "",
        log_x=known,
        difference_to="the first checkpoint of the same series",
    )


def train_recipes(
    recipes: Sequence[Recipe],
    dataset: Dataset,
    out: Path,
    *,
    steps: int,
    shares: Sequence[float] = (1.0,),
    examples: int = 1,
    device: Device = "auto",
) -> list[Checkpoint]:
    """Train recipes at one budget, on parts of their data.

    Args:
        recipes: Each with another name; of inpainters.
        dataset: What they will be asked about.
        out: Gets a run's folder for each recipe and share; runs that are there are gone on with.
        steps: Optimiser steps of each, whatever the recipe says.
        shares: Of the images that a recipe trains on. A smaller share is part of a larger one.
            Below 1 all sources must be folders.
        examples: How many an episode shows.
        device: To train on.

    Returns:
        A series for each recipe.

    Raises:
        ValueError: If a recipe cannot be cut so, or its data are not there.
        vicl.training.checkpoints.TrainingError: If a run fails.
    """
    names = [recipe.name for recipe in recipes]
    if len(set(names)) != len(names) or any(r.kind.objective == "vqgan" for r in recipes):
        raise ValueError(
            f"recipes: got the names {names}, expected each once, and no recipe of a vqgan, which "
            "fills no hole"
        )
    checkpoints = []
    for recipe in recipes:
        for share in shares:
            cut = at_budget(recipe, steps=steps, share=share)
            data = open_data(
                cut.data, cut.model.canvas_size, seed=cut.seed, patch_size=cut.model.patch_size
            )
            path = train(cut, out / f"{cut.name}-{share:g}", resume=True, device=device)
            stacked = dataset.measures == "shapes"
            model = load_model(path, device=device)
            checkpoints.append(
                Checkpoint(
                    f"{100 * share:g}% of the images of {cut.name}",
                    as_engine(model, dataset.task, examples=examples, stacked=stacked),
                    series=cut.name,
                    images=data.count,
                    budget=f"{steps} steps of {cut.batch.size} images ({cut.name})",
                )
            )
    return checkpoints


def at_budget(recipe: Recipe, *, steps: int, share: float = 1.0) -> Recipe:
    """A recipe cut to a number of steps and a share of its images.

    The other images are held out (not looked at), together with those that are held out anyway; by
    their names, so a smaller share is part of a larger one.

    Raises:
        RecipeError: If the share is not in (0, 1], or what is trained on is not in folders.
    """
    if not 0 < share <= 1 or steps < 1:
        raise RecipeError(f"got steps={steps}, share={share}; expected 1 or more, and (0, 1]")
    data = recipe.model_dump()
    data["schedule"] |= {"steps": steps, "epochs": None}
    # Looking and saving on the way would cost the small budget much of its time.
    for section in ("evaluation", "checkpoints"):
        data[section]["every"] = max(steps, data[section]["every"])
    if share < 1:
        held = recipe.data.held_out
        folders = all(source.kind in ("folder", "photos") for source in recipe.data.train)
        if held.sources or not folders:
            raise RecipeError(
                f"{recipe.name}: data: got shards, datasets or held_out.sources, of which no share "
                "can be taken; expected folders, with held_out.fraction or nothing held out"
            )
        fraction = 1 - share * (1 - held.fraction)
        data["data"]["held_out"] = HeldOut(
            fraction=fraction, group=held.group, count=held.count
        ).model_dump()
    return Recipe.model_validate(data)
