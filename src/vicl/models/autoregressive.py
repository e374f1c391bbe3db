"""VQGAN-autoregressive: a causal transformer that completes the codes of a canvas in raster order.

The place of a code is predicted from all codes before it.  The answer must therefore come last:
after the hole nothing may stand but a blank margin, so it is at the bottom right.  Before the
tokenizer names the visible patches, the hole is painted grey, so that what lies under it makes no
difference.

Source: Esser, Rombach and Ommer 2021, arXiv:2012.09841, section 3.2; as a baseline, Bar et al.
2022, arXiv:2209.00647, section 4.  Positions are fixed here, where the published model learns them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from vicl.encoders.layers import Linear
from vicl.engine import Sampling
from vicl.models.batches import send
from vicl.models.code_inpainter import ChosenCodes, CodeInpainter
from vicl.models.configs import CodeConfig
from vicl.models.initialisation import initialise_transformer
from vicl.models.shapes import Codes, Hidden, Hole, Holes, Images
from vicl.models.tokens import GREY, check_generators, choose_tokens, token_pixels
from vicl.models.vit import Cache, Transformer, patchify, sincos_positions


class AutoregressiveConfig(CodeConfig):
    """A causal transformer over the codes of a VQGAN in raster order."""

    causal = True


class Autoregressive(CodeInpainter):
    """A causal transformer over codes.

    Its `token_logits` are scored by teacher forcing, given the codes before a place of the canvas
    with its hole grey.  Inside a hole these are not the scores by which it is filled, since there
    every code is looked at by those after it as soon as it is chosen.

    Attributes:
        config: The architecture.
        start_token: Stands before the first code.
        code_embedding: Vectors of the codes.
        decoder: The transformer.
    """

    kind = "autoregressive"
    config_class = AutoregressiveConfig
    config: AutoregressiveConfig
    positions: Tensor
    fills_by_scores = False

    def _build(self) -> None:
        config, width = self.config, self.config.embed_dim
        codes = config.tokenizer.codebook_size
        self.start_token = nn.Parameter(torch.empty(1, 1, width))
        self.code_embedding = nn.Embedding(codes, width)
        self.decoder = Transformer(
            width, config.depth, config.num_heads, config.mlp_ratio, causal=True
        )
        self.head: nn.Linear = Linear(width, codes)
        initialise_transformer(self)
        positions = sincos_positions(config.grid, width, extra_tokens=0)
        self.register_buffer("positions", positions, persistent=False)

    def loss_on_codes(self, image: Images, hole: Hole, codes: Codes) -> Float[Tensor, ""]:
        """Cross-entropy over the holes' patches, every code given the true ones before it.

        With a hole everywhere that is the loss of the published model. The hole may be anywhere.
        See :meth:`CodeInpainter.loss_on_codes`.
        """
        return self._cross_entropy(self._read(codes), self._holes(image, hole), codes)

    def _hidden(self, image: Images, holes: Holes) -> Hidden:
        return self._read(self._name(image, holes))

    def _name(self, image: Images, holes: Holes) -> Codes:
        """The codes of canvases with grey holes."""
        hole = token_pixels(send(holes, image.device), self.config.grid, self.patch_size)
        return self.tokenizer.encode(image.masked_fill(hole[:, None], GREY)).flatten(1)

    def _read(
        self, codes: Codes, places: slice = slice(None), caches: Sequence[Cache] | None = None
    ) -> Float[Tensor, "b m d"]:
        """Run the transformer.

        Args:
            codes: Of all places; the code of a place is looked at by those after it only.
            places: Of which something is to be said.
            caches: What was computed of all places before these; it is added to.
        """
        start = self.start_token.expand(len(codes), -1, -1)
        before = torch.cat([start, self.code_embedding(codes[:, :-1])], dim=1)
        out: Tensor = self.decoder((before + self.positions)[:, places], caches)
        return out

    def _answer(
        self,
        image: Images,
        holes: Holes,
        sampling: Sampling | None,
        generators: Sequence[Generator] | None,
    ) -> ChosenCodes:
        """Complete the holes' codes.

        Raises:
            ValueError: If something is shown after a hole.
        """
        if not all(map(self._comes_last, image, holes)):
            raise ValueError(
                "hole: got one that something is shown after, but this model fills a canvas from "
                "the top left to the bottom right; take an arrangement whose answer stands at the "
                "bottom right, such as Layout.grid's own"
            )
        check_generators(generators, len(image))
        codes = self._name(image, holes)
        step = 1 if self._alone() else len(codes)
        parts = [
            self._complete(
                codes[row : row + step],
                holes[row : row + step],
                sampling,
                None if generators is None else generators[row : row + step],
            )
            for row in range(0, len(codes), step)
        ]
        tokens, chosen = zip(*parts, strict=True)
        return ChosenCodes(torch.cat(tokens), torch.cat(chosen), None)

    def _comes_last(self, image: Float[Tensor, "3 H W"], holes: Bool[Tensor, " n"]) -> bool:
        """Whether what follows a canvas's hole in raster order is of one colour."""
        places = holes.nonzero()
        last = int(places.max()) if len(places) else len(holes)
        after = patchify(image[None], self.patch_size)[0, last + 1 :].view(
            -1, 3, self.patch_size**2
        )
        return not after.numel() or bool((after == after[:1, :, :1]).all())

    def _complete(
        self,
        codes: Codes,
        holes: Holes,
        sampling: Sampling | None,
        generators: Sequence[Generator] | None,
    ) -> tuple[Codes, Float[Tensor, "b n"]]:
        """Choose the holes' codes one by one, each with regard to all before it."""
        codes = codes.clone()
        chosen = torch.zeros_like(codes, dtype=torch.float32)
        inside = holes.to(codes.device)
        caches = [Cache() for _ in self.decoder.blocks]
        states = [generator.get_state() for generator in generators or ()]
        done = 0
        for place in holes.any(dim=0).nonzero()[:, 0].tolist():
            here = slice(place, place + 1)
            logits = self.head(self._read(codes, slice(done, place + 1), caches)[:, -1:])
            if sampling is not None and sampling.coherent:
                for generator, state in zip(generators or (), states, strict=True):
                    generator.set_state(state)  # the same noise at every place
            tokens, likelihood = choose_tokens(
                logits, inside[:, here], sampling=sampling, generators=generators
            )
            codes[:, here] = torch.where(inside[:, here], tokens, codes[:, here])
            chosen[:, here] = likelihood
            done = place + 1
        return codes, chosen
