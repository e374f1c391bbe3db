"""What each `vicl evaluate study NAME` runs; nothing heavy is imported before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vicl.cli.evaluate.study_options import Given

if TYPE_CHECKING:
    from vicl.evaluation.studies.table import StudyTable


def run_layout(given: Given, *, examples: int) -> StudyTable:
    """Layouts of the prompt."""
    from vicl.evaluation.studies import layout

    dataset = given.dataset(examples)
    return layout.run(given.inpainters(), dataset, examples=examples, **given.how())


def run_mask_style(given: Given, *, examples: int) -> StudyTable:
    """Styles of the masks."""
    from vicl.evaluation.studies import mask_style

    dataset = given.dataset(examples)
    return mask_style.run(given.engines(), dataset, examples=examples, **given.how())


def run_examples(given: Given, *, most: int) -> StudyTable:
    """Number and choice of examples."""
    from vicl.evaluation.studies import examples

    return examples.run(given.engines(), given.dataset(most), most=most, **given.how())


def run_ensembling(given: Given, *, examples: int) -> StudyTable:
    """Arrangements and examples, fused."""
    from vicl.evaluation.studies import ensembling

    dataset = given.dataset(examples)
    return ensembling.run(given.inpainters(), dataset, examples=examples, **given.how())


def run_attention(
    given: Given, *, examples: int, arrangements: tuple[int, ...], pictured: int
) -> StudyTable:
    """Where the hole's tokens look; its pictures are written here."""
    from vicl.evaluation.studies import attention
    from vicl.images import save_image

    found = attention.run(
        given.canvases(),
        given.dataset(examples),
        count=given.count,
        seed=given.seed,
        examples=examples,
        arrangements=arrangements,
        pictured=pictured,
        progress=True,
    )
    for name, picture in found.pictures.items():
        save_image(picture, given.output / name)
    return found.table


def run_fine_tuning(given: Given, *, shots: tuple[int, ...], steps: int, lr: float) -> StudyTable:
    """Fine-tuning against prompting."""
    from vicl.evaluation.studies import fine_tuning
    from vicl.evaluation.studies.fine_tuned import FineTuning

    return fine_tuning.run(
        given.inpainters(),
        given.dataset(max(shots)),
        shots=shots,
        settings=FineTuning(steps=steps, lr=lr),
        **given.how(),
    )


def run_training_data(
    given: Given,
    *,
    checkpoints: tuple[tuple[str, str, str], ...],
    recipes: tuple[str, ...],
    overrides: tuple[str, ...],
    steps: int,
    shares: tuple[float, ...],
    examples: int,
) -> StudyTable:
    """Checkpoints, given as (words, number of images or -, model), and recipes to train."""
    from vicl.evaluation.running.engines import as_engine
    from vicl.evaluation.studies import training_data
    from vicl.loading import load_model
    from vicl.training.recipe.files import load_recipe

    dataset = given.dataset(examples)
    trained = [
        training_data.Checkpoint(
            words,
            as_engine(
                load_model(source, device=given.device, dtype=given.dtype),
                given.asked,
                examples=examples,
            ),
            images=_amount(images),
        )
        for words, images, source in checkpoints
    ]
    trained += training_data.train_recipes(
        [load_recipe(recipe, overrides) for recipe in recipes],
        dataset,
        given.output / "runs",
        steps=steps,
        shares=shares,
        examples=examples,
        device=given.device,
    )
    return training_data.run(trained, dataset, examples=examples, **given.how())


def _amount(images: str) -> int | None:
    """How many images a checkpoint was trained on; None for a dash."""
    if images == "-":
        return None
    if not images.isdecimal() or int(images) < 1:
        raise ValueError(f"--checkpoint: got {images!r} images, expected a number, or - if unknown")
    return int(images)
