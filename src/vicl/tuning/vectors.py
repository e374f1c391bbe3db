"""Searching for task vectors: which heads, at which tokens, are to give what they gave on examples.

Whether a group of slices is replaced is a coin, of which the chance is learned by REINFORCE: sets
are drawn, each answers a canvas with the query alone, and the chances move towards the sets that
lost least. As published, but for what is lost: there the task's own error of the answer's picture;
here the cross-entropy of the answer's codes, which needs no drawing.

Source: Hojel et al. 2024, arXiv:2404.05729, section 3, and the published code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.images import to_tensor
from vicl.models.head_vectors import Chosen, Slices, patching, recording
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.tokens import hole_tokens
from vicl.models.vit import patchify
from vicl.prompting.task_vectors import alone, layout_of, query_places
from vicl.training.job import Look, Round, Seat
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.seeds import Purpose, numbers
from vicl.training.settings import AnyOptimiser, Many, Part
from vicl.tuning.pairs import Pairs, Shown

_AT_ONCE = 32
_NEVER = -1000.0
"""The logit of what is not to be replaced."""


class VectorSettings(Part):
    """How task vectors are made; the defaults are the published ones.

    Attributes:
        tried: Canvases with an example of which the best are recorded.
        recorded: So many of them: those of the lowest loss.
        granularity: What a coin is of: a whole head (0); of a head the class token, the query's and
            in the decoder the answer's places (1); or a head's single token (2).
        where: In which transformer heads are replaced.
        first: The coins' first logit; -1 is a chance of 0.27.
        lr: Of Adam.
        iterations: Steps.
        samples: Sets that are drawn in a step;
        images: canvases that they answer, in turn.
        penalty: Times the mean chance is added to the loss.
        look_every: Steps between two looks at the held-out pairs.
        held_out: Share of the pairs that is held out, by which the best set is chosen.
    """

    tried: Many = 400
    recorded: Many = 100
    granularity: Literal[0, 1, 2] = 1
    where: Literal["both", "encoder", "decoder"] = "both"
    first: float = Field(default=-1.0, ge=-30, le=30)
    lr: PositiveFloat = 0.1
    iterations: Many = 500
    samples: int = Field(default=320, ge=2, le=100_000)
    images: Many = 10
    penalty: NonNegativeFloat = 0.0
    look_every: Many = 50
    held_out: float = Field(default=0.2, gt=0, lt=1)

    @property
    def optimiser(self) -> AnyOptimiser:
        """Adam, without decay."""
        return AnyOptimiser(kind="adam", lr=self.lr, scale_lr=False, weight_decay=0.0)


class Groups:
    """Which coin each slice belongs to.

    Args:
        model: Whose slices they are.
        granularity: See :class:`VectorSettings`.

    Attributes:
        encoder: The coin's number of each (layer, head, token); -1: it has none, as the examples'
            places.
        decoder: Likewise.
        count: Of the coins: the encoder's first, then the decoder's; by layers, heads, groups.
    """

    def __init__(self, model: MAEVQGAN, granularity: int) -> None:
        config, layout = model.config, layout_of(model)
        query = query_places(model)
        hole = torch.zeros(1, *layout.canvas_size, dtype=torch.bool)
        layout.hole.of(hole)[:] = True
        answer = hole_tokens(hole, model.patch_size)[0]
        cls = torch.zeros(1, dtype=torch.long)
        seen = torch.ones(int(query.sum()), dtype=torch.long)
        places = torch.where(query, 1, torch.where(answer, 2, -1))
        self.encoder = _numbered(
            torch.cat([cls, seen]), granularity, config.depth, config.num_heads
        )
        decoder = torch.cat([cls, places])
        layers, heads = config.decoder_depth, config.decoder_num_heads
        after = int(self.encoder.max()) + 1
        found = _numbered(decoder, granularity, layers, heads)
        self.decoder = torch.where(found < 0, -1, found + after)
        self.count = int(self.decoder.max()) + 1

    def chosen(self, coins: Bool[Tensor, "*b v"]) -> tuple[Chosen, Chosen]:
        """What coins that came up choose: (layers, *b, heads, tokens) of both transformers."""
        either = []
        for numbered in (self.encoder, self.decoder):
            at = numbered.to(coins.device)
            found = coins[..., at.clamp(min=0)] & (at >= 0)  # (*b, layers, heads, tokens)
            either.append(found.movedim(-3, 0))
        return either[0], either[1]


def _numbered(
    groups: Int[Tensor, " n"], granularity: int, layers: int, heads: int
) -> Int[Tensor, "l h n"]:
    """A number for each group of each head."""
    there = groups >= 0
    if granularity == 0:
        groups = torch.where(there, 0, -1)
    elif granularity == 2:
        groups = torch.where(there, there.cumsum(0) - 1, -1)
    each = int(groups.max()) + 1
    start = each * torch.arange(layers * heads).view(layers, heads, 1)
    return torch.where(there, start + groups, -1)


@torch.no_grad()
def mean_slices(
    model: MAEVQGAN, pairs: Pairs, shown: Sequence[Shown], recorded: int
) -> tuple[Slices, Slices]:
    """The mean slices over the canvases with an example that lose least.

    Args:
        model: What is asked.
        pairs: Of the task.
        shown: The canvases.
        recorded: So many of them.
    """
    layout, query = layout_of(model), query_places(model)
    losses = []
    for one in shown:
        clean, hole = pairs.clean(one, layout)
        losses.append(float(model.loss(clean[None].to(model.device), hole[None])))
    best = sorted(range(len(shown)), key=losses.__getitem__)[:recorded]
    totals: list[Tensor] = []
    for place in best:
        clean, hole = pairs.clean(shown[place], layout)
        with recording(model) as (encoder, decoder):
            model.features(clean[None].to(model.device), hole[None])
        # The encoder's tokens are those of the visible places.
        visible = ~hole_tokens(hole[None], model.patch_size)[0]
        among = torch.cat([torch.ones(1, dtype=torch.bool), query[visible]])
        found = [torch.cat(encoder)[:, :, among], torch.cat(decoder)]
        totals = found if not totals else [a + b for a, b in zip(totals, found, strict=True)]
    encoder_mean, decoder_mean = (total.cpu() / len(best) for total in totals)
    return encoder_mean, decoder_mean


class Coins(nn.Module):
    """The chances that are learned, and the set that was last looked at.

    Args:
        groups: Of the slices.
        settings: How they begin, and which are never replaced.
    """

    fell: Tensor

    def __init__(self, groups: Groups, settings: VectorSettings) -> None:
        super().__init__()
        free = torch.ones(groups.count, dtype=torch.bool)
        after = int(groups.encoder.max()) + 1
        if settings.where != "both":
            free[after:] = settings.where == "decoder"
            free[:after] = settings.where == "encoder"
        self.register_buffer("free", free)
        self.register_buffer("fell", torch.zeros(groups.count, dtype=torch.bool))
        self.logits = nn.Parameter(torch.full((groups.count,), settings.first))

    def chances(self) -> Float[Tensor, " v"]:
        """The logits; those that are not to be replaced are as good as never."""
        free: Tensor = self.get_buffer("free")
        return self.logits.masked_fill(~free, _NEVER)

    def drawn(self, number: int, generator: Generator) -> Bool[Tensor, "b v"]:
        """Sets by the chances."""
        chance = self.chances().detach().sigmoid().cpu()
        return torch.rand(number, len(chance), generator=generator) < chance


class VectorObjective(Objective):
    """REINFORCE on the losses of sets that are drawn.

    Args:
        model: The coins.
        engine: What is asked; frozen, and no part of this.
        groups: Of its slices.
        slices: The mean ones.
        settings: How.
        seed: Of what is drawn.
    """

    model: Coins

    def __init__(
        self,
        model: Coins,
        engine: MAEVQGAN,
        groups: Groups,
        slices: tuple[Slices, Slices],
        settings: VectorSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self.model, self.groups, self.settings, self.seed = model, groups, settings, seed
        self._engine = (engine,)  # in a tuple it is no part of the objective
        self._slices = tuple(one.to(engine.device) for one in slices)

    @torch.no_grad()
    def losses(
        self,
        image: Float[Tensor, "m 3 H W"],
        codes: Int[Tensor, "m n"],
        coins: Bool[Tensor, "b v"],
    ) -> Float[Tensor, " b"]:
        """What each set loses on a canvas: set i on canvas i modulo m."""
        (engine,) = self._engine
        layout, parts = layout_of(engine), []
        places = query_places(engine).nonzero()[:, 0].to(image.device)
        hole = torch.zeros(1, *layout.canvas_size, dtype=torch.bool)
        layout.hole.of(hole)[:] = True
        answer = hole_tokens(hole, engine.patch_size)[0].to(image.device)
        patches = patchify(image, engine.patch_size)[:, places]
        rows = torch.arange(len(coins)) % len(image)
        for start in range(0, len(coins), _AT_ONCE):
            row = rows[start : start + _AT_ONCE].to(image.device)
            chosen = self.groups.chosen(coins[start : start + _AT_ONCE].to(image.device))
            with patching(engine, self._slices, chosen):
                hidden = engine.run_visible(patches[row], places.expand(len(row), -1))
            logits = engine.head(hidden[:, answer]).float()
            lost = F.cross_entropy(logits.movedim(2, 1), codes[row][:, answer], reduction="none")
            parts.append(lost.mean(dim=1))
        return torch.cat(parts)

    def forward(self, *batch: Any) -> Losses:
        """See :class:`vicl.training.objectives.objective.Objective`: canvases, codes, the step."""
        image, codes, step = batch
        seed = int(numbers(self.seed, Purpose.COINS, int(step)).integers(2**62))
        coins = self.model.drawn(self.settings.samples, Generator().manual_seed(seed))
        lost = self.losses(image, codes, coins)
        worth = (lost - lost.mean()) / (lost.std() + 1e-6)
        chances = self.model.chances()
        fell = coins.to(chances)
        likely = -F.binary_cross_entropy_with_logits(
            chances.expand_as(fell), fell, reduction="none"
        ).mean(dim=1)
        loss = (likely * worth).mean() + self.settings.penalty * chances.sigmoid().mean()
        return Losses({"model": loss}, {"lost": lost.mean()})


class Asked:
    """Canvases with the query alone, and the codes of their clean canvases.

    Args:
        engine: Whose tokenizer names them.
        pairs: Of the task.
    """

    def __init__(self, engine: MAEVQGAN, pairs: Pairs) -> None:
        self.engine, self.pairs, self.layout = engine, pairs, layout_of(engine)

    @torch.no_grad()
    def of(self, shown: Sequence[Shown]) -> tuple[Tensor, Tensor]:
        """Images (m, 3, H, W) and codes (m, n), on the engine's device."""
        images, clean = [], []
        for one in shown:
            query = to_tensor(self.pairs.load(one.query).input)
            images.append(alone(self.layout, query).image)
            clean.append(self.pairs.clean(one, self.layout)[0])
        device, dtype = self.engine.device, self.engine.dtype
        codes = self.engine.tokenizer.encode(torch.stack(clean).to(device, dtype)).flatten(1)
        return torch.stack(images).to(device), codes

    def rounds(
        self, train: Sequence[int], images: int, seed: int, seat: Seat, device: torch.device
    ) -> Iterator[Round]:
        """Rounds for the loop: some queries, drawn by the number of the step."""
        number, among = seat.start, self.pairs.among(train)
        while True:
            rng = numbers(seed, Purpose.ORDER, number)
            places = rng.permutation(train)[:images].tolist()
            shown = [
                self.pairs.shown(self.pairs.or_another(place, among), among, [(0, 0)], seed, number)
                for place in places
            ]
            image, codes = self.of(shown)
            yield Round((image.to(device), codes.to(device)))
            number += 1


class LookingAtCoins:
    """Looks at held-out pairs by the set that the same draws give by the chances as they are.

    Args:
        objective: Whose losses they are.
        image: Canvases with the query alone;
        codes: of the clean ones.
    """

    def __init__(self, objective: VectorObjective, image: Tensor, codes: Tensor) -> None:
        self.objective, self.image, self.codes = objective, image, codes

    def loss(self, coins: Bool[Tensor, " v"]) -> float:
        """The mean of a set over the held-out pairs."""
        several = coins.expand(len(self.image), -1)
        return float(self.objective.losses(self.image, self.codes, several).mean())

    def __call__(self, coins: Coins) -> Look:
        """See :attr:`vicl.training.job.Job.look`; the set is kept with the chances."""
        coins.fell.copy_(coins.drawn(1, Generator().manual_seed(self.objective.seed))[0])
        share = float(coins.fell.float().mean())
        figures = {"loss": self.loss(coins.fell.cpu()), "replaced": share}
        return Look(figures, None, len(self.image))
