"""Visual prompt tuning of a Swin, whose tokens attend in windows.

Every window sees a copy of the prompts; what attention makes of the copies is averaged. Where
stages meet, a prompt is repeated four times over its channels and merged as patches are.

Source: Jia et al. 2022, arXiv:2203.12119, and its published code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.transformers import SwinBackbone
from vicl.prompts.deep import Tuned, check_said, reach, uniform
from vicl.prompts.options import VptOptions

Grid = tuple[int, int]

_SAID: Final = ("length", "depth", "dropout", "also", "update", "published")
"""Of the options those that prompts in windows heed."""


class SwinPrompt(Tuned):
    """Prompts before the patches' tokens of a Swin, in every stage.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        options: What is learned.
        generator: For first values.

    Attributes:
        prompt: Before the first layer: (1, p, c).
        deep: Before the others, a stage each: (layers, p, c 2^stage), in the first stage one less.

    Raises:
        ValueError: If the options are none that a Swin has.
    """

    backbone: SwinBackbone

    def __init__(
        self,
        backbone: SwinBackbone,
        classes: Sequence[str],
        options: VptOptions,
        *,
        generator: Generator,
    ) -> None:
        check_said(options, _SAID, "a prompt in a Swin")
        super().__init__(backbone, classes, options, width=backbone.width, generator=generator)
        if not hasattr(backbone.stages[0].blocks[0].attention, "q_proj"):
            raise ValueError(
                "vpt: prompts in a Swin need transformers 5.23 or newer: "
                "pip install -U transformers"
            )
        config = backbone.body.config
        patch = config.patch_size
        most = reach(int(patch[0] if isinstance(patch, list | tuple) else patch), config.embed_dim)
        count, width = options.length, config.embed_dim
        self.prompt = uniform((1, count, width), most, generator)
        self.deep = nn.ParameterList()
        if options.depth == "deep":
            for stage, depth in enumerate(config.depths):
                shape = (depth - (stage == 0), count, width << stage)
                self.deep.append(uniform(shape, most, generator))
        # A first stage of one layer has no deep prompts; the empty tensor keeps the places.
        self.learned([self.prompt, *(one for one in self.deep if one.numel())], generator)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Tuned.features`: the mean over prompts and patches."""
        return self.stages(pixels)[-1]

    def stages(self, pixels: Float[Tensor, "b 3 s s"]) -> list[Tensor]:
        """Tokens (b, p + n, c) at the end of every stage, and last the features."""
        tokens, grid = self.backbone.embed(pixels)
        tokens = torch.cat([self._copies(self.prompt, tokens), tokens], dim=1)
        found = []
        for index, stage in enumerate(self.backbone.stages):
            for at, block in enumerate(stage.blocks):
                row = at if index else at - 1
                if self.deep and row >= 0:
                    new = self._copies(self.deep[index][row : row + 1], tokens)
                    tokens = torch.cat([new, tokens[:, self.options.length :]], dim=1)
                tokens = self._layer(block, tokens, grid)
            if stage.downsample is not None:
                tokens = self._merged(stage.downsample, tokens, grid)
                grid = ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
            found.append(tokens)
        return [*found, self.backbone.body.layernorm(tokens).mean(dim=1)]

    def _copies(self, prompt: Tensor, tokens: Tensor) -> Tensor:
        made: Tensor = self.drop(prompt)
        return made.expand(len(tokens), -1, -1)

    def _merged(self, merging: Any, tokens: Tensor, grid: Grid) -> Tensor:
        """Four neighbours become one, and four times the same prompt."""
        count = self.options.length
        prompts = torch.cat([tokens[:, :count]] * 4, dim=2)
        prompts = merging.reduction(merging.norm(prompts))
        return torch.cat([prompts, merging(tokens[:, count:], grid)], dim=1)

    def _layer(self, block: Any, tokens: Tensor, grid: Grid) -> Tensor:
        """A layer over prompts (b, p, c) and patches (b, n, c)."""
        block.set_shift_and_window_size(grid)
        normed = block.layernorm_before(tokens)
        count, side = self.options.length, block.window_size
        places = normed[:, count:].unflatten(1, grid)  # (b, rows, columns, c)
        over = [-extent % side for extent in grid]
        places = F.pad(places, (0, 0, 0, over[1], 0, over[0]))
        height, width = places.shape[1:3]
        mask = block.get_attn_mask(height, width, dtype=places.dtype, device=places.device)
        windows = _windows(block.cyclic_shift(places), side)  # (b w, side side, c), by image
        many = len(windows) // len(tokens)
        prompts = normed[:, :count]
        # The published code lays the copies out by window, but windows by image.
        mixed = self.options.published and self.options.depth == "shallow"
        copies = prompts.repeat(many, 1, 1) if mixed else prompts.repeat_interleave(many, dim=0)
        seen = _attend(block.attention, torch.cat([copies, windows], dim=1), mask, count)
        own = seen[:, :count]
        own = own.reshape(*((many, -1) if mixed else (-1, many)), *own.shape[1:])
        joined = _joined(seen[:, count:], side, (height, width))
        joined = block.cyclic_shift(joined, reverse=True)[:, : grid[0], : grid[1]]
        made = torch.cat([own.mean(dim=0 if mixed else 1), joined.flatten(1, 2)], dim=1)
        tokens = tokens + made
        found: Tensor = tokens + block.mlp(block.layernorm_after(tokens))
        return found


def _windows(places: Tensor, side: int) -> Tensor:
    """Windows (b w, side side, c) of a grid (b, rows, columns, c), those of an image together."""
    b, rows, columns, c = places.shape
    parts = places.view(b, rows // side, side, columns // side, side, c)
    return parts.transpose(2, 3).reshape(-1, side * side, c)


def _joined(windows: Tensor, side: int, grid: Grid) -> Tensor:
    """The grid again; the inverse of :func:`_windows`."""
    rows, columns = grid[0] // side, grid[1] // side
    parts = windows.view(-1, rows, columns, side, side, windows.shape[-1])
    return parts.transpose(2, 3).flatten(1, 2).flatten(2, 3)


def _attend(attention: Any, tokens: Tensor, mask: Tensor | None, count: int) -> Tensor:
    """A window's attention; prompts have no place, so no bias, and see everything."""
    heads = attention.num_attention_heads
    queries, keys, values = (
        project(tokens).unflatten(2, (heads, -1)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    bias = F.pad(attention.relative_position_bias(), (count, 0, count, 0))  # (1, heads, n, n)
    if mask is not None:
        seen = F.pad(mask, (count, 0, count, 0))[:, None]  # (w, 1, n, n)
        bias = (bias + seen).repeat(len(tokens) // len(seen), 1, 1, 1)
    mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
    found: Tensor = attention.o_proj(mixed.transpose(1, 2).flatten(2))
    return found
