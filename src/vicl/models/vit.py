"""Blocks of a vision transformer, shared by every model that is made of them.

Looking inside.  Points of interest are modules of class :class:`Probe`, which pass a tensor on
unchanged, so that PyTorch's own forward hooks reach it; a hook that returns a tensor replaces what
flows on (an intervention).  Every block has

- `block.attn.maps`: attention weights (b, heads, queries, keys), each row summing to 1;
- `block.attn.heads`: what each head gives (b, heads, n, d / heads), before the output projection;
- `block.output`: the block's output (b, n, d), the residual stream.

For example, all attention maps of the decoder during one call:

    maps = []
    with watching([block.attn.maps for block in model.decoder.blocks], maps.append):
        model.inpaint(image, hole)

Attention weights exist only while somebody asks for them: without a hook on `maps` the fused
kernel is used, which never forms them.

Sources: the pre-norm ViT of Dosovitskiy et al. 2020 (arXiv:2010.11929) and the fixed 2-D
sine-cosine positions of He et al. 2021 (arXiv:2111.06377).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.encoders.layers import Linear
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD

LAYER_NORM_EPS = 1e-6


class Probe(nn.Identity):
    """A point at which hooks may look at a tensor, or replace it."""

    @property
    def watched(self) -> bool:
        """Whether there is a hook."""
        return bool(self._forward_hooks)


@contextmanager
def watching(probes: Iterable[Probe], look: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Call `look` with every tensor that passes one of `probes`, in the order of the computation.

    Args:
        probes: See the module's docstring.
        look: What it returns, if not None, takes the tensor's place. It may be called several
            times for one batch, each time for some of its members.
    """

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        result = look(output)
        return result if isinstance(result, Tensor) else None

    handles = [probe.register_forward_hook(hook) for probe in probes]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Cache:
    """Keys and values of the tokens that a causal attention has seen already."""

    def __init__(self) -> None:
        self._seen: tuple[Tensor, Tensor] | None = None

    def extend(
        self, keys: Float[Tensor, "b heads n c"], values: Float[Tensor, "b heads n c"]
    ) -> tuple[Float[Tensor, "b heads m c"], Float[Tensor, "b heads m c"]]:
        """Add those of further tokens, and give all."""
        if self._seen is not None:
            keys = torch.cat([self._seen[0], keys], dim=2)
            values = torch.cat([self._seen[1], values], dim=2)
        self._seen = keys, values
        return self._seen


class Attention(nn.Module):
    """Multi-head self-attention with biases on queries, keys and values.

    Where it is `causal`, a token looks at itself and at those before it.
    """

    def __init__(self, embed_dim: int, num_heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.causal = causal
        self.qkv = Linear(embed_dim, 3 * embed_dim)
        self.proj = Linear(embed_dim, embed_dim)
        self.maps = Probe()
        self.heads = Probe()

    def forward(
        self, x: Float[Tensor, "b n d"], cache: Cache | None = None
    ) -> Float[Tensor, "b n d"]:
        """Attend; the attention weights are formed only if `maps` is watched, or if it is quicker.

        Args:
            x: Tokens.
            cache: Of a causal attention: the tokens before `x`, which are looked at too.
        """
        b, n, d = x.shape
        qkv = self.qkv(x).view(b, n, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (b, heads, n, d / heads)
        if cache is not None:
            k, v = cache.extend(k, v)
        if self.maps.watched or _fused_is_slow(q):
            scores = (q * (d // self.num_heads) ** -0.5) @ k.transpose(-2, -1)
            if self.causal:
                scores = scores.masked_fill(~_before(n, k.shape[2], x.device), -torch.inf)
            mixed = self.maps(scores.softmax(dim=-1)) @ v
        elif not self.causal or n == 1:
            mixed = F.scaled_dot_product_attention(q, k, v)
        elif n == k.shape[2]:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            mask = _before(n, k.shape[2], x.device)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed = self.heads(mixed)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(b, n, d))
        return out


def _fused_is_slow(q: Float[Tensor, "b h n d"]) -> bool:
    """Whether training is quicker without the fused attention.

    On a CPU its backward pass in bfloat16 takes five times as long as the products written out
    (PyTorch 2.13; 32 canvases of 109 tokens).
    """
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad


def _before(queries: int, keys: int, device: torch.device) -> Bool[Tensor, "q k"]:
    """Which keys a causal attention may look at; the last ones are the queries' own."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, embed_dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(embed_dim, hidden)
        self.fc2 = Linear(hidden, embed_dim)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Transform each token by itself."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(
        self, embed_dim: int, num_heads: int, mlp_ratio: float, *, causal: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(embed_dim, num_heads, causal=causal)
        self.norm2 = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.mlp = MLP(embed_dim, int(embed_dim * mlp_ratio))
        self.output = Probe()

    def forward(
        self, x: Float[Tensor, "b n d"], cache: Cache | None = None
    ) -> Float[Tensor, "b n d"]:
        """Add what attention, then the MLP, make of the normalised tokens."""
        x = x + self.attn(self.norm1(x), cache)
        x = x + self.mlp(self.norm2(x))
        out: Tensor = self.output(x)
        return out


class Transformer(nn.Module):
    """A stack of blocks and a final layer normalisation."""

    def __init__(
        self,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
        *,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, causal=causal) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)

    def forward(
        self, x: Float[Tensor, "b n d"], caches: Sequence[Cache] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Run the blocks in order.

        Args:
            x: Tokens.
            caches: One a block, of causal ones: what was computed of the tokens before `x`; `x` is
                added. So a sequence can be continued at the cost of its new tokens.
        """
        for index, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[index])
        out: Tensor = self.norm(x)
        return out


class PatchEmbed(nn.Module):
    """A linear embedding of patches; its weight has the shape of the equivalent convolution's.

    Patches are embedded one by one, so that a model can leave out those that it must not see.
    """

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, patches: Float[Tensor, "b n k"]) -> Float[Tensor, "b n d"]:
        """Embed patches as :func:`patchify` cuts them."""
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


def patchify(image: Float[Tensor, "b c H W"], patch_size: int) -> Float[Tensor, "b n k"]:
    """Cut images into patches, row by row; a patch is flattened as channels, rows, columns."""
    b, c, height, width = image.shape
    p = patch_size
    parts = image.reshape(b, c, height // p, p, width // p, p)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * p * p)  # (b, n, c p p)


def unpatchify(
    patches: Float[Tensor, "b n k"], grid: tuple[int, int], patch_size: int
) -> Float[Tensor, "b c H W"]:
    """Put patches of a (rows, columns) grid together again; the inverse of :func:`patchify`."""
    (rows, columns), p = grid, patch_size
    parts = patches.reshape(len(patches), rows, columns, -1, p, p)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(len(patches), -1, rows * p, columns * p)


def imagenet_normalise(patches: Float[Tensor, "*b p"]) -> Float[Tensor, "*b p"]:
    """ImageNet-normalise RGB patches in [0, 1], as :func:`patchify` cuts them; in float32.

    The constants are plain numbers: a cast of the weights does not round them, and no device waits
    for them.
    """
    channels = patches.float().chunk(3, dim=-1)
    constants = zip(channels, IMAGENET_MEAN, IMAGENET_STD, strict=True)
    return torch.cat([(channel - mean) / std for channel, mean, std in constants], dim=-1)


def imagenet_denormalise(patches: Float[Tensor, "*b p"]) -> Float[Tensor, "*b p"]:
    """The inverse of :func:`imagenet_normalise`."""
    channels = patches.float().chunk(3, dim=-1)
    constants = zip(channels, IMAGENET_MEAN, IMAGENET_STD, strict=True)
    return torch.cat([channel * std + mean for channel, mean, std in constants], dim=-1)


def sincos_positions(
    grid: tuple[int, int], embed_dim: int, *, cells: int = 1, extra_tokens: int = 1
) -> Float[Tensor, "n d"]:
    """Fixed position embeddings of a (rows, columns) grid, in raster order.

    The first half of the channels codes the column, the second half the row; each half holds the
    sines of all frequencies, then their cosines. The frequencies are 10000^(-2i / d'), with d' half
    the width.

    Args:
        grid: (rows, columns).
        embed_dim: Width; a multiple of 4, with several cells of 8.
        cells: Into how many cells a side the grid is parted; with several, the first half of the
            channels codes the place inside the cell, the second half where the cell begins.
        extra_tokens: Rows of zeros put first, for tokens without a place.

    Source: He et al. 2021, appendix A.1; Vaswani et al. 2017, section 3.5.
    """
    factors = 1 if cells == 1 else 2
    if embed_dim % (4 * factors):
        raise ValueError(f"embed_dim: got {embed_dim}, expected a multiple of {4 * factors}")
    rows, columns = (np.arange(side) for side in grid)
    width = embed_dim // factors
    if cells == 1:
        table = _encode_places(rows, columns, width)
    else:
        tall, wide = (side // cells for side in grid)
        inside = _encode_places(rows % tall, columns % wide, width)
        corner = _encode_places(rows - rows % tall, columns - columns % wide, width)
        table = np.concatenate([inside, corner], axis=1)
    table = table.astype(np.float32)  # (n, d)
    return torch.from_numpy(np.concatenate([np.zeros((extra_tokens, embed_dim), "f4"), table]))


def _encode_places(rows: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    """Sines and cosines of all pairs of a row and a column, (rows columns, width)."""
    frequencies = 10000.0 ** (-np.arange(width // 4) / (width // 4))

    def encode(places: np.ndarray) -> np.ndarray:
        angles = np.outer(places, frequencies)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    by_column = encode(np.tile(columns, len(rows)))
    by_row = encode(np.repeat(rows, len(columns)))
    return np.concatenate([by_column, by_row], axis=1)
