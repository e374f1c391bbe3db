"""A masked autoencoder fine-tuned on a few labelled images: whole image in, mask out.

Nothing is prompted here.  The encoder sees the whole image, and a new head reads a mask from what
the decoder says of every patch.  All weights are trained, so a copy of the model serves one class
and forgets the others.

Source: Bar et al. 2022, arXiv:2209.00647, section 5 (the fine-tuning baseline); the paper says
little of how, so the head, the loss and the settings are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Filled, drawn
from vicl.images import resize, to_tensor
from vicl.images.upsampling import upsample
from vicl.models.initialisation import seeded
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.vit import patchify, unpatchify
from vicl.prompt import Example, Prompt
from vicl.training.job import Job, Round, Seat
from vicl.training.loop import fit
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.parallel import processes
from vicl.training.settings import BatchSize, Optimiser, Schedule


@dataclass(frozen=True)
class FineTuning:
    """How it is done: AdamW, a tenth of the steps to warm up, then a cosine.

    Attributes:
        steps: Optimiser steps.
        lr: Peak learning rate.
        batch: Images a step at most, each mirrored or not; fewer where there are fewer.
        weight_decay: Of matrices.
    """

    steps: int = 200
    lr: float = 3e-4
    batch: int = 16
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not self.lr > 0 or self.weight_decay < 0:
            raise ValueError(
                f"fine-tuning: got {self}, expected at least one step and one image a step, lr "
                "above 0 and weight_decay not below 0"
            )

    def __str__(self) -> str:
        return f"{self.steps} steps of at most {self.batch} images, learning rate {self.lr:g}"


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A model that marks what is marked in a few images; as an engine it looks at the query only.

    It is trained when it is first asked, and so not for a run that is complete.

    Attributes:
        model: Encoder and decoder to begin with; it is left as it is.
        labelled: Drawn examples: RGB in, white on black out.
        settings: Of the training.
        seed: Of the head's weights, and of which images a step sees and how they are mirrored.
        weights_hash: None, since these weights are in no file.
        max_size: None: it is given queries of any size.

    Raises:
        ValueError: If there is no labelled image; when it is asked, if the loss is not finite any
            more.
    """

    model: MaskedAutoencoder
    labelled: Sequence[Example]
    settings: FineTuning
    seed: int = 0
    weights_hash: str | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        if not self.labelled:
            raise ValueError("labelled: got no image, expected at least one to fine-tune on")

    @property
    def name(self) -> str:
        """The model's, and what was done to it."""
        return f"{self.model.name}, fine-tuned"

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; there is one answer, however many asked.

        The brighter a pixel, the likelier it is marked.
        """
        return [self._trained.mark(to_tensor(prompt.query)) for prompt in prompts]

    @cached_property
    def _trained(self) -> _Marking:
        body, settings = copy.deepcopy(self.model).float(), self.settings
        images, masks = _stacked(self.labelled, body)
        with seeded(self.seed):
            head = nn.Linear(body.config.decoder_embed_dim, body.patch_size**2)
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        objective = _Marking(body, head)
        job = Job(
            objective=objective,
            rounds=partial(_rounds, images, masks, self.seed),
            batch=BatchSize(size=min(settings.batch, len(images))),
            steps=settings.steps,
            schedule=Schedule(steps=settings.steps, warmup=0.1),
            optimiser=Optimiser(lr=settings.lr, scale_lr=False, weight_decay=settings.weight_decay),
        )
        with processes(body.device) as accelerator:
            fit(job, accelerator)
        return objective.eval()


class _Marking(Objective):
    """Encoder, decoder and a head of its own on the cross-entropy of every pixel."""

    def __init__(self, body: MaskedAutoencoder, head: nn.Linear) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.model = nn.ModuleDict({"body": body, "head": head})

    @torch.no_grad()
    def mark(self, query: Float[Tensor, "3 h w"]) -> Filled:
        """Mark an image, at its own size."""
        size, body = (query.shape[1], query.shape[2]), self.body
        image = resize(query, body.canvas_size)[None].to(body.device)
        found = unpatchify(self.logits(image).sigmoid(), body.config.grid, body.patch_size)[0].cpu()
        return Filled(upsample(found, size, guide=query).expand(3, -1, -1).contiguous())

    def logits(self, image: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b n p"]:
        """How much each pixel of each patch looks marked."""
        nothing = torch.zeros(len(image), *self.body.canvas_size, dtype=torch.bool)
        out: Tensor = self.head(self.body.features(image, nothing))
        return out

    def forward(
        self, image: Float[Tensor, "b 3 H W"], mask: Float[Tensor, "b 1 H W"], step: int
    ) -> Losses:
        """See :meth:`Objective.forward`."""
        loss = F.binary_cross_entropy_with_logits(
            self.logits(image), patchify(mask, self.body.patch_size)
        )
        return Losses({"model": loss}, {})


def _rounds(
    images: Float[Tensor, "n 3 H W"],
    masks: Float[Tensor, "n 1 H W"],
    seed: int,
    seat: Seat,
    device: torch.device,
) -> Iterator[Round]:
    """Some of the images, each mirrored or not; for one process that begins at the beginning."""
    generator = Generator().manual_seed(seed)
    while True:
        rows = torch.randperm(len(images), generator=generator)[: seat.batch]
        flip = torch.rand(len(rows), generator=generator) < 0.5
        yield Round((mirrored(images[rows], flip), mirrored(masks[rows], flip)))


def _stacked(
    labelled: Sequence[Example], body: MaskedAutoencoder
) -> tuple[Float[Tensor, "b 3 H W"], Float[Tensor, "b 1 H W"]]:
    """Images and masks at the size of the model's canvas."""
    pairs = [drawn(example) for example in labelled]
    images = torch.stack([resize(image, body.canvas_size) for image, _ in pairs])
    outputs = torch.stack([resize(output, body.canvas_size) for _, output in pairs])
    masks = (outputs.mean(dim=1, keepdim=True) > 0.5).float()
    return images.to(body.device), masks.to(body.device)


def mirrored(image: Float[Tensor, "b c H W"], flip: Bool[Tensor, " b"]) -> Float[Tensor, "b c H W"]:
    """Mirror those images left to right that are to be."""
    return torch.where(flip.to(image.device)[:, None, None, None], image.flip(-1), image)
