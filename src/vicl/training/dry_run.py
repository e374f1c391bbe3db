"""What a run would do and take, in words, without doing it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vicl.files.machine import processor
from vicl.loading import load_tokenizer
from vicl.models.configs import VQGANConfig
from vicl.models.devices import Device, pick_device
from vicl.models.vqgan import VQGAN
from vicl.training.build import check_codes, has_tokenizer
from vicl.training.data.training_data import open_data
from vicl.training.estimate import (
    Flops,
    Memory,
    StepCost,
    count_weights,
    measure_rates,
    memory,
    meta_objective,
    recipe_cost,
    step_seconds,
)
from vicl.training.optimisation import peak_lr
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.recipe import Recipe
from vicl.training.run_folder import recipe_text
from vicl.training.train import count_steps

_MULTIPLIERS = (1, 1, 2, 2, 4)
_ASSUMED = (
    "one process; of each masking one batch of holes, drawn with the seed",
    "memory without the allocator's reserve; activations all in the run's precision",
    "time of matrix products and convolutions alone, as fast as large ones were just now; a run "
    "takes longer, with a small model much longer",
)


@dataclass(frozen=True)
class DryRun:
    """What is known of a run before it.

    Attributes:
        text: The resolved recipe as YAML, and estimates in its comments.
        missing: What keeps the run from beginning.
    """

    text: str
    missing: tuple[str, ...]


def describe(recipe: Recipe, *, device: Device = "auto") -> DryRun:
    """Describe a run of one process on this machine.

    Args:
        recipe: What would be done.
        device: As for :func:`vicl.training.train.train`; its speed is measured.

    Raises:
        ValueError: If recipe and device do not go together.
    """
    place = pick_device(device)
    missing: list[str] = []
    tokenizer = _tokenizer(recipe, missing)
    images, data = _data(recipe, tokenizer, missing)
    steps = _steps(recipe, images, missing)
    objective = meta_objective(recipe, _architecture(recipe, tokenizer))
    cost = recipe_cost(recipe, objective, steps=steps or 10**9)
    rates = measure_rates(place, recipe.precision, recipe.model.width)
    trained, frozen = count_weights(objective)
    parts = [_big(n) if len(trained) == 1 else f"{_big(n)} ({name})" for name, n in trained.items()]
    lines = [
        ("parameters", f"{' + '.join(parts)} trained, {_big(frozen)} frozen"),
        *(("data", line) for line in data),
        ("run", _length(recipe, steps, images)),
        ("learning rate", _rate(recipe, steps)),
        ("memory", _memory(memory(recipe, objective, cost), recipe)),
        ("operations", _operations(recipe, cost)),
        ("time", _time(recipe, steps, cost, rates, place)),
        *(("assumed", line) for line in _ASSUMED),
    ]
    comments = [f"# {name + ':':<15}{line}" for name, line in lines]
    return DryRun(recipe_text(recipe) + "\n".join(comments), tuple(missing))


def _tokenizer(recipe: Recipe, missing: list[str]) -> VQGAN | None:
    """The tokenizer, where there is one."""
    if not has_tokenizer(recipe):
        return None
    try:
        return load_tokenizer(recipe.model.tokenizer, device="cpu")
    except (ValueError, OSError) as error:
        missing.append(f"model.tokenizer: {error} (its size is estimated as the published one's)")
        return None


def _architecture(recipe: Recipe, tokenizer: VQGAN | None) -> VQGANConfig | None:
    """The architecture of the tokenizer; where it is not there, the published one's."""
    if tokenizer is not None:
        return tokenizer.config
    return assumed_tokenizer(recipe.model.patch_size) if has_tokenizer(recipe) else None


def assumed_tokenizer(patch_size: int) -> VQGANConfig:
    """The published VQGAN, with as many levels as codes of `patch_size` pixels need.

    Raises:
        RecipeError: If no VQGAN has such codes.
    """
    levels = patch_size.bit_length()
    if patch_size != 2 ** (levels - 1) or levels > len(_MULTIPLIERS):
        raise RecipeError(
            f"model.patch_size: got {patch_size}, expected 1, 2, 4, 8 or 16, which is what a code "
            "of a tokenizer may stand for"
        )
    return VQGANConfig(multipliers=_MULTIPLIERS[-levels:], attention_levels=(levels - 1,))


def _data(
    recipe: Recipe, tokenizer: VQGAN | None, missing: list[str]
) -> tuple[int | None, list[str]]:
    """(images of an epoch, the sources in words)."""
    try:
        size, patch = recipe.model.canvas_size, recipe.model.patch_size
        data = open_data(recipe.data, size, seed=recipe.seed, patch_size=patch)
        if recipe.data.named and tokenizer is not None:
            check_codes(recipe, data, tokenizer)
    except (ValueError, OSError) as error:
        missing.append(f"data: {error}")
        return None, ["not there"]
    return data.count, data.describe()


def _steps(recipe: Recipe, images: int | None, missing: list[str]) -> int | None:
    try:
        return count_steps(recipe, images)
    except ValueError as error:
        if not missing:
            missing.append(str(error))
        return None


def _length(recipe: Recipe, steps: int | None, images: int | None) -> str:
    micro, rounds = recipe.batch.rounds(1)
    each = f"{recipe.batch.size:,} images ({rounds} x {micro})"
    if steps is None:
        return f"{recipe.schedule.epochs:g} epochs in steps of {each}"
    seen = steps * recipe.batch.size
    epochs = f", {seen / images:,.4g} epochs" if images else ""
    return f"{steps:,} steps of {each}: {seen:,} images seen{epochs}"


def _rate(recipe: Recipe, steps: int | None) -> str:
    settings, schedule = recipe.optimiser, recipe.schedule
    scaled = f" ({settings.lr:g} x {recipe.batch.size} / 256)" if settings.scale_lr else ""
    rising = f"{schedule.warmup:.3g} of the steps"
    if steps is not None:
        rising = f"{round(schedule.warmup * steps):,} steps"
    return (
        f"{peak_lr(settings, recipe.batch.size):.4g}{scaled} after {rising} of warm-up, "
        f"{schedule.final:g} of it at the end"
    )


def _memory(found: Memory, recipe: Recipe) -> str:
    micro, _ = recipe.batch.rounds(1)
    averages = f", averages {_bytes(found.averages)}" if found.averages else ""
    return (
        f"about {_bytes(sum(found))}: weights {_bytes(found.weights)}, gradients "
        f"{_bytes(found.gradients)}, AdamW's moments {_bytes(found.moments)}{averages}, "
        f"activations of {micro} images {_bytes(found.activations)}"
    )


def _operations(recipe: Recipe, cost: StepCost) -> str:
    _, rounds = recipe.batch.rounds(1)
    trained, targets = rounds * sum(cost.trained), rounds * sum(cost.targets)
    naming = f" and {_big(targets)}FLOP to name the targets" if targets else ""
    return f"{_big(trained)}FLOP a step forward and backward{naming}"


def _time(
    recipe: Recipe, steps: int | None, cost: StepCost, rates: Flops, device: torch.device
) -> str:
    once = step_seconds(recipe, cost, rates)
    whole = "" if steps is None else f"{_duration(steps * once)}, "
    each = f"{once:.3g} s" if once < 100 else _duration(once)
    return (
        f"at least {whole}{each} a step ({_big(rates.products)}FLOP/s in matrix products and "
        f"{_big(rates.convolutions)}FLOP/s in convolutions of {recipe.precision} on "
        f"{processor(device)})"
    )


def _big(number: int | float) -> str:
    """A number with a letter for its thousands."""
    power = min(5, int(math.log10(number)) // 3) if number >= 1 else 0
    digits = 0 if power == 0 else 2
    return f"{number / 1000**power:.{digits}f} {' kMGTP'[power]}".strip()


def _bytes(number: float) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**29 else f"{number / 2**20:.0f} MiB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
