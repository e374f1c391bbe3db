"""What every inpainter over tokens needs: holes as tokens, choosing tokens, answers as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Generator, Tensor

from vicl.engine import Sampling
from vicl.models.shapes import Codes, Hole, Holes, Images

GREY = 0.5
"""What a tokenizer is shown where a hole is."""


def hole_tokens(hole: Hole, patch_size: int) -> Holes:
    """Say which patches, in raster order, the holes are made of.

    Raises:
        ValueError: If a hole covers part of a patch.
    """
    b, height, width = hole.shape
    parts = hole.reshape(b, height // patch_size, patch_size, width // patch_size, patch_size)
    whole = parts.all(dim=4).all(dim=2)
    if not torch.equal(whole, parts.any(dim=4).any(dim=2)):
        raise ValueError(
            f"hole: got one that covers patches in part, expected whole patches of {patch_size} px"
        )
    return whole.flatten(1)


def token_pixels(
    values: Shaped[Tensor, "b n"], grid: tuple[int, int], patch_size: int
) -> Shaped[Tensor, "b H W"]:
    """Spread a value a token over its patch."""
    parts: Tensor = values.view(-1, *grid)
    pixels: Tensor = parts.repeat_interleave(patch_size, dim=1)
    return pixels.repeat_interleave(patch_size, dim=2)


def paste(drawn: Images, image: Images, hole: Hole) -> Images:
    """Set drawn pixels into the holes; the others stay as they are, bit for bit."""
    return torch.where(hole[:, None], drawn.to(image.dtype), image)


def choose_tokens(
    logits: Float[Tensor, "b n k"],
    holes: Holes,
    *,
    sampling: Sampling | None = None,
    generators: Sequence[Generator] | None = None,
) -> tuple[Codes, Float[Tensor, "b n"]]:
    """Choose a token at every place: the likeliest, or in the holes a random one.

    Args:
        logits: Of every place.
        holes: Where random tokens are drawn.
        sampling: How; None is temperature 1 over all tokens.
        generators: One a canvas; None takes the likeliest tokens everywhere.

    Returns:
        The tokens, and their log-probabilities as the model gives them, that is at temperature 1
        over all tokens, so that answers drawn in different ways compare.

    Raises:
        ValueError: If there are not as many generators as canvases.
    """
    log_probabilities = logits.float().log_softmax(dim=-1)
    tokens = log_probabilities.argmax(dim=-1)
    check_generators(generators, len(logits))
    if generators is not None:
        for row, generator in enumerate(generators):
            place = holes[row]
            if bool(place.any()):
                drawn = _draw(log_probabilities[row, place], sampling or Sampling(), generator)
                tokens[row, place] = drawn
    chosen = log_probabilities.gather(-1, tokens[..., None])[..., 0]
    return tokens, chosen


def check_generators(generators: Sequence[Generator] | None, canvases: int) -> None:
    """Check that there are none, or one a canvas.

    Raises:
        ValueError: If not.
    """
    if generators is not None and len(generators) != canvases:
        raise ValueError(
            f"generators: got {len(generators)} for {canvases} canvases, expected one each"
        )


def _draw(
    log_probabilities: Float[Tensor, "n k"], sampling: Sampling, generator: Generator
) -> Int[Tensor, " n"]:
    """Draw one token a row, where the generator lives, so that devices draw alike."""
    scores = log_probabilities.to(generator.device) / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < scores.shape[1]:
        least = scores.topk(sampling.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling.coherent:
        # The largest of scores with Gumbel noise is a draw from their softmax (Gumbel 1954), at
        # every place, also when the places share the noise.
        uniform = torch.rand(scores.shape[1], generator=generator, device=generator.device)
        drawn = (scores - (-uniform.log()).log()).argmax(dim=-1)
    else:
        drawn = torch.multinomial(scores.softmax(dim=-1), 1, generator=generator)[:, 0]
    return drawn.to(log_probabilities.device)
