"""MAE-VQGAN: a masked autoencoder that fills a hole with the codes of a VQGAN.

The encoder sees the visible patches only; the decoder predicts, at every place, one of the codes of
a frozen VQGAN, which draws them.

Source: Bar, Gandelsman, Darrell, Globerson and Efros 2022, arXiv:2209.00647, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Filled, Sampling
from vicl.models.configs import MAEVQGANConfig
from vicl.models.hub import Pretrained
from vicl.models.tokens import choose_tokens, hole_tokens, paste, token_pixels
from vicl.models.vit import PatchEmbed, Transformer, patchify, sincos_positions
from vicl.models.vqgan import VQGAN
from vicl.rects import Rect

DecodeRegion = Literal["full", "answer"]
"""Draw the whole canvas and take the hole out of it, as published; or little more than the hole,
which is quicker and not quite the same."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class MAEVQGAN(Pretrained, nn.Module):
    """A :class:`vicl.engine.TokenInpainter`; built with random weights.

    Attributes:
        config: The architecture.
        encoder: Transformer over the class token and the visible patches.
        decoder: Transformer over the class token and all places.
        tokenizer: The VQGAN; frozen.
        name: What people call it.
        weights_hash: SHA-256 of the weights' file; None until weights are loaded.
        decode_region: How much of the canvas is drawn.
    """

    positions: Tensor
    decoder_positions: Tensor

    def __init__(
        self, config: MAEVQGANConfig, *, seed: int = 0, decode_region: DecodeRegion = "full"
    ) -> None:
        """Build the model.

        Args:
            config: The architecture.
            seed: Of the random weights.
            decode_region: See :data:`DecodeRegion`; may be changed at any time.
        """
        super().__init__()
        self.config = config
        self.name = "mae-vqgan"
        self.weights_hash: str | None = None
        self.decode_region: DecodeRegion = decode_region
        width, narrow, ratio = config.embed_dim, config.decoder_embed_dim, config.mlp_ratio
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.cls_token = nn.Parameter(torch.empty(1, 1, width))
            self.mask_token = nn.Parameter(torch.empty(1, 1, narrow))
            self.patch_embed = PatchEmbed(config.patch_size, width)
            self.encoder = Transformer(width, config.depth, config.num_heads, ratio)
            self.decoder_embed = nn.Linear(width, narrow)
            self.decoder = Transformer(
                narrow, config.decoder_depth, config.decoder_num_heads, ratio
            )
            self.head = nn.Linear(narrow, config.tokenizer.codebook_size)
            self.tokenizer = VQGAN(config.tokenizer)
            self._initialise()
        self.tokenizer.requires_grad_(False)
        # Fixed, so they are no part of the weights.
        for name, value in (
            ("positions", sincos_positions(config.grid, width)),
            ("decoder_positions", sincos_positions(config.grid, narrow)),
        ):
            self.register_buffer(name, value, persistent=False)

    def _initialise(self) -> None:
        """Draw weights as MAE does (He et al. 2021, appendix A.1)."""
        for part in (self.encoder, self.decoder_embed, self.decoder, self.head):
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
                    nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.flatten(1))
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of the canvases that it takes, in pixels."""
        return self.config.canvas_size

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels; holes are made of whole patches."""
        return self.config.patch_size

    def token_logits(
        self, image: Float[Tensor, "b 3 H W"], hole: Bool[Tensor, "b H W"]
    ) -> Float[Tensor, "b n k"]:
        """Score every code at every place of the canvas, in raster order.

        Args:
            image: Canvases, RGB in [0, 1]; what lies under the holes is never looked at.
            hole: True = to fill; whole patches. Canvases may have holes of different sizes.

        Raises:
            ValueError: If the canvases have another size than the model's, or a hole covers
                patches in part.
        """
        visible = ~self._holes(image, hole)
        if self._alone():
            parts = [self._tokens(image[i : i + 1], visible[i : i + 1]) for i in range(len(image))]
            return torch.cat([self.head(part) for part in parts])
        logits: Tensor = self.head(self._tokens(image, visible))
        return logits

    def decode(
        self,
        tokens: Int[Tensor, "b n"],
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
    ) -> Float[Tensor, "b 3 H W"]:
        """Draw tokens, and set what they show into the holes.

        Args:
            tokens: One a place, in raster order; those outside the hole matter too, since the
                VQGAN draws a patch with regard to the others.
            image: Canvases, RGB in [0, 1].
            hole: True = to fill; whole patches.
        """
        holes = self._holes(image, hole).view(-1, *self.config.grid)
        codes = tokens.view(-1, *self.config.grid)
        if self.decode_region == "full":
            return paste(self.tokenizer.decode(codes), image, hole)
        drawn = torch.zeros_like(image)
        for row, box in enumerate(holes):
            if bool(box.any()):
                part = _bounds(box)
                pixels = Rect(*(self.patch_size * v for v in (part.top, part.left, *part.size)))
                pixels.of(drawn[row])[:] = self.tokenizer.decode(codes[row : row + 1], part)[0]
        return paste(drawn, image, hole)

    @torch.no_grad()
    def inpaint(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        """See :meth:`vicl.engine.Inpainter.inpaint`.

        The confidence of a pixel is the probability of its patch's code, and 1 outside the hole;
        the log-likelihood is the sum of the log-probabilities of the hole's codes.
        """
        home = image.device
        image, hole = image.to(self.device), hole.to(self.device)
        holes = hole_tokens(hole, self.patch_size)
        logits = self.token_logits(image, hole)
        tokens, chosen = choose_tokens(logits, holes, sampling=sampling, generators=generators)
        chosen = chosen.masked_fill(~holes, 0.0)
        confidence = token_pixels(chosen.exp(), self.config.grid, self.patch_size)
        return Filled(
            image=self.decode(tokens, image, hole).to(home),
            confidence=confidence.to(home),
            log_likelihood=chosen.sum(dim=1).to(home),
        )

    def loss(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
        *,
        target: Float[Tensor, "b 3 H W"] | None = None,
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the tokenizer's codes of `target`, over the holes' tokens of the batch.

        Args:
            image: Canvases, RGB in [0, 1].
            hole: True = to fill; whole patches.
            target: The clean canvases; None if `image` is clean.

        Raises:
            ValueError: If no canvas has a hole.
        """
        holes = self._holes(image, hole)
        if not bool(holes.any()):
            raise ValueError("hole: got none in the whole batch, expected at least one token")
        with torch.no_grad():
            codes = self.tokenizer.encode(image if target is None else target).flatten(1)
        hidden = self._tokens(image, ~holes)[holes]
        return F.cross_entropy(self.head(hidden).float(), codes[holes])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mask_token.device

    def _holes(self, image: Tensor, hole: Tensor) -> Bool[Tensor, "b n"]:
        """The holes as tokens, after a check of the sizes."""
        for name, got in (("image", tuple(image.shape[-2:])), ("hole", tuple(hole.shape[-2:]))):
            if got != self.canvas_size:
                raise ValueError(
                    f"{name}: got {got} px, expected (height, width) = {self.canvas_size}, which "
                    "is what this model takes"
                )
        return hole_tokens(hole, self.patch_size)

    def _alone(self) -> bool:
        """Whether canvases must go through the transformer one at a time.

        A batch is to give what its members give alone. On a CPU a matrix product does not: its
        kernel, and so the last bits, depend on the rows that each thread gets. Training, which
        needs no such equality, takes batches whole.
        """
        return self.device.type == "cpu" and not torch.is_grad_enabled()

    def _tokens(
        self, image: Float[Tensor, "b 3 H W"], visible: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n d"]:
        """Run encoder and decoder; gives the decoder's tokens of all places."""
        patches = patchify(image, self.patch_size)
        hidden: list[Tensor] = []
        order: list[Tensor] = []
        for rows, places in _by_count(visible):
            hidden.append(self._run(patches[rows[:, None], places], places))
            order.append(rows)
        if len(hidden) == 1:
            return hidden[0]
        return torch.cat(hidden)[torch.cat(order).argsort()]

    def _run(
        self, patches: Float[Tensor, "b v p"], places: Int[Tensor, "b v"]
    ) -> Float[Tensor, "b n d"]:
        """Encode visible patches and decode all places."""
        b, p = len(patches), self.patch_size
        dtype = self.cls_token.dtype
        pixels = patches.float().view(b, -1, 3, p * p)
        # In float32 whatever the weights are: constants, not weights that a cast would round.
        mean, std = (pixels.new_tensor(v)[:, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        normed = ((pixels - mean) / std).flatten(2).to(dtype)
        seen = self.patch_embed(normed) + self.positions[1:][places]
        cls = (self.cls_token + self.positions[:1]).expand(b, -1, -1)
        encoded = self.decoder_embed(self.encoder(torch.cat([cls, seen], dim=1)))
        full = self.mask_token.expand(b, len(self.positions) - 1, -1)
        index = places[..., None].expand(-1, -1, full.shape[2])
        full = full.scatter(1, index, encoded[:, 1:])
        out: Tensor = self.decoder(
            torch.cat([encoded[:, :1], full], dim=1) + self.decoder_positions
        )
        return out[:, 1:]


def _by_count(
    visible: Bool[Tensor, "b n"],
) -> Iterator[tuple[Int[Tensor, " g"], Int[Tensor, "g v"]]]:
    """Group canvases that show equally many patches: their rows, and the places they show.

    Padding a batch to its longest member instead would change the numbers of the others.
    """
    counts = visible.sum(dim=1)
    for count in sorted(set(counts.tolist())):
        rows = (counts == count).nonzero()[:, 0]
        yield rows, visible[rows].nonzero()[:, 1].view(len(rows), count)


def _bounds(places: Bool[Tensor, "h w"]) -> Rect:
    """The smallest rectangle around the places."""
    rows, columns = torch.where(places)
    top, left = int(rows.min()), int(columns.min())
    return Rect(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
