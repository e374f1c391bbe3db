"""From a recipe to the model that it names, and to the objective that trains it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from vicl.files import display
from vicl.files.faults import said
from vicl.loading import load_folder, load_tokenizer
from vicl.models.code_inpainter import CodeInpainter
from vicl.models.configs import CodeConfig, Config, VQGANConfig
from vicl.models.inpainter import LearnedInpainter
from vicl.models.unet import UNet
from vicl.models.vit import Transformer
from vicl.models.vqgan import VQGAN, Decoder, Encoder
from vicl.storage.folder import weights_hash
from vicl.training.checkpoints import TrainingError
from vicl.training.data.named_shards import NamedBy, NamedShards
from vicl.training.data.training_data import TrainingData
from vicl.training.objectives.inpainting import Inpainting, NamedInpainting
from vicl.training.objectives.objective import Objective
from vicl.training.objectives.vqgan import VQGANObjective
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.recipe import Recipe
from vicl.training.settings import DTYPES

log = logging.getLogger(__name__)

_TOKENIZER = "tokenizer."
_CODES = ("head.", "code_embedding.")
"""Parts of models that mean something only beside the tokenizer that they were trained with."""

_COMPILED = (Transformer, Encoder, Decoder, UNet)
"""What `torch.compile` is given: what computes, not what picks patches by their places."""


def build_model(recipe: Recipe) -> Any:
    """The model of a recipe: with random weights by its seed, or those it starts from; on the CPU.

    Raises:
        TrainingError: If its tokenizer or the weights to start from are missing or do not fit.
    """
    tokenizer = _tokenizer(recipe) if has_tokenizer(recipe) else None
    config = model_config(recipe, None if tokenizer is None else tokenizer.config)
    model: Any = recipe.kind.model(config, seed=recipe.seed)
    if tokenizer is not None:
        model.tokenizer.load_state_dict(tokenizer.state_dict())
    if recipe.start is not None:
        _start_from(model, recipe.start)
    if recipe.kind.objective == "inpainting":
        model.asking = recipe.model.asking
    model.name = recipe.name
    return model


def has_tokenizer(recipe: Recipe) -> bool:
    """Whether the model of a recipe predicts the codes of a tokenizer that it names."""
    return issubclass(recipe.kind.model.config_class, CodeConfig)


def model_config(recipe: Recipe, tokenizer: VQGANConfig | None) -> Config:
    """The architecture of a recipe's model.

    Args:
        recipe: The recipe.
        tokenizer: The architecture of its tokenizer; None for a model without one.

    Raises:
        RecipeError: If the two do not go together.
    """
    config_class = recipe.kind.model.config_class
    numbers = recipe.model.model_dump(include=set(config_class.model_fields))
    if tokenizer is not None:
        numbers["tokenizer"] = tokenizer
    try:
        return config_class.model_validate(numbers)
    except ValidationError as error:
        raise RecipeError(f"{recipe.name}: model: {said(error)}") from error


def build_objective(recipe: Recipe, model: nn.Module) -> Objective:
    """What trains a model as its recipe says."""
    if recipe.vqgan is not None:
        assert isinstance(model, VQGAN)
        return VQGANObjective(model, recipe.vqgan, seed=recipe.seed)
    assert isinstance(model, LearnedInpainter)
    if recipe.data.named:
        assert isinstance(model, CodeInpainter)
        return NamedInpainting(model)
    return Inpainting(model, target_dtype=DTYPES[recipe.target_precision])


def check_codes(recipe: Recipe, data: TrainingData, tokenizer: VQGAN) -> None:
    """See that stored codes are those that the recipe's tokenizer would name.

    Args:
        recipe: What is to be trained.
        data: Its data.
        tokenizer: Its tokenizer.

    Raises:
        RecipeError: If they were named by another tokenizer, or another way.
    """
    wanted = NamedBy(
        tokenizer=weights_hash(tokenizer),
        codebook_size=tokenizer.codebook_size,
        patch_size=tokenizer.patch_size,
        canvas_size=recipe.model.canvas_size,
        augmentation=recipe.data.augmentation,
        precision=recipe.target_precision,
    )
    for source in data.pool.sources:
        if isinstance(source, NamedShards):
            source.check(source.named_by, wanted, "the recipe says")


def compile_parts(objective: Objective) -> None:
    """Compile the parts of an objective that compute, in place."""
    copies = objective.tokenizers if isinstance(objective, Inpainting) else []
    for whole in (objective, *copies):
        for part in whole.modules():
            if isinstance(part, _COMPILED):
                part.compile()


def _tokenizer(recipe: Recipe) -> VQGAN:
    try:
        return load_tokenizer(recipe.model.tokenizer, device="cpu")
    except (ValueError, OSError) as error:
        raise TrainingError(
            f"model.tokenizer: {error}; train one (vicl train vqgan-tiny-cpu), convert one (vicl "
            "convert last.ckpt FOLDER), or name another with --set model.tokenizer=FOLDER"
        ) from error


def _start_from(model: Any, source: str) -> None:
    """Take the weights of a model of the same architecture.

    Of one with another tokenizer, what depends on its codes is left, and starts at random.
    """
    try:
        other: Any = load_folder(Path(source), device="cpu")
    except (ValueError, OSError) as error:
        raise TrainingError(f"start: {error}") from error
    body, wanted = (m.config.model_dump(exclude={"tokenizer"}) for m in (other, model))
    if type(other) is not type(model) or body != wanted:
        raise TrainingError(
            f"start: {display(source)} is a {type(other).__name__} of another architecture than "
            "the recipe's model; make them the same"
        )
    own, given = model.state_dict(), other.state_dict()
    kept: tuple[str, ...] = (_TOKENIZER,)
    if not _same_tokenizer(own, given):
        kept = (_TOKENIZER, *_CODES)
        log.warning(
            "start: %s has another tokenizer than the recipe's model; what predicts its codes is "
            "not taken, and starts at random",
            display(source),
        )
    model.load_state_dict(own | {n: v for n, v in given.items() if not n.startswith(kept)})


def _same_tokenizer(own: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> bool:
    """Whether two models have one tokenizer, be it that one of them was saved in half precision."""
    names = [name for name in own if name.startswith(_TOKENIZER)]
    return all(name in given for name in names) and any(
        all(torch.equal(own[n].to(dtype), given[n].to(dtype)) for n in names)
        for dtype in DTYPES.values()
    )
