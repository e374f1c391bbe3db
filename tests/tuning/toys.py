"""A backbone of a few pixels, classifiers on it, and folders of coloured squares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator, Tensor, nn

from vicl.images import save_image
from vicl.prompts import methods
from vicl.prompts.backbones.backbone import Backbone, Reading
from vicl.prompts.classifier import Batches, Classifier
from vicl.prompts.linear import linear_layer
from vicl.prompts.methods import Method
from vicl.prompts.options import Options

SIDE = 8
COLOURS = {"blue": (40, 60, 220), "green": (30, 200, 60), "red": (220, 40, 30)}


class ToyBackbone(Backbone):
    """The colours of four quarters, mixed by a frozen layer."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.source, self.width, self.labels = "toy", 6, 5
        self.reading, self.step = Reading(9, SIDE), 4
        generator = Generator().manual_seed(seed)
        self.mix = nn.Linear(12, self.width)
        self.own = nn.Linear(self.width, self.labels)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(generator=generator)
        data = b"".join(p.detach().numpy().tobytes() for p in self.parameters())
        self.weights_hash = hashlib.sha256(data).hexdigest()
        self.colours((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        self.calls = 0

    def classifier(self) -> nn.Module:
        return self.own

    def features(self, pixels: Tensor) -> Tensor:
        self.calls += 1
        found: Tensor = self.mix(nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1)).tanh()
        return found


def toy_backbone(seed: int = 0) -> ToyBackbone:
    made = ToyBackbone(seed)
    made.requires_grad_(False).eval()
    return made


class ToyOptions(Options):
    """Options of the toy."""

    scale: float = 0.1
    steps: int = 3


class Toy(Classifier):
    """A pixel prompt and a layer, which uses all that a method may: count, penalty, bounds."""

    counted: Tensor
    prepared: Tensor

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], options: ToyOptions, generator: Generator
    ) -> None:
        super().__init__(backbone, classes)
        self.prompt = nn.Parameter(torch.zeros(3, backbone.side, backbone.side))
        self.head = linear_layer(backbone.width, len(classes), generator)
        self.register_buffer("counted", torch.zeros(len(classes), dtype=torch.long))
        self.scale = options.scale
        self.epochs: list[int] = []
        self.freeze_all_but([self.prompt, *self.head.parameters()])

    def forward(self, image: Tensor) -> Tensor:
        seen = self.shown(image)
        found: Tensor = self.head(self.backbone.features(self.backbone.normalise(seen)))
        return found + 0 * self.counted

    def prepare(self, epoch: int, batches: Batches) -> None:
        self.epochs.append(epoch)
        self.counted.zero_()
        for _, labels in batches():
            self.counted += torch.bincount(labels, minlength=len(self.classes))

    def penalty(self) -> Tensor:
        return 0.01 * self.prompt.square().sum()

    def tidy(self) -> None:
        self.prompt.clamp_(-self.scale, self.scale)

    def shown(self, image: Tensor) -> Tensor:
        return image + self.prompt

    def pictured(self) -> dict[str, Tensor]:
        return {"prompt": (self.prompt.detach().cpu() / self.scale + 1) / 2}


def _make(b: Backbone, c: Sequence[str], o: Any, g: Generator) -> Classifier:
    return Toy(b, c, o, g)


TOY = Method("toy", "a toy", ToyOptions, _make)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyBackbone:
    """The toy backbone; the toy method is known, and the backbone by its name."""
    monkeypatch.setattr(methods, "METHODS", (*methods.METHODS, TOY))
    made = toy_backbone()

    def load(source: str, **_: object) -> Backbone:
        from vicl.storage.folder import ModelError

        if source not in ("toy", "other"):
            raise ModelError(f"backbone: got {source!r}, expected toy")
        return toy_backbone(int(source == "other"))

    for module in ("prompts.saved", "tuning.tune"):
        monkeypatch.setattr(f"vicl.{module}.load_backbone", load)
    return made


def squares(
    folder: Path,
    counts: dict[str, int],
    *,
    classes: Iterable[str] = COLOURS,
    draw: Callable[[Path, Image.Image], None] | None = None,
) -> Path:
    """A folder of splits of noisy coloured squares; `counts` are those of a class and a split."""
    for split, count in counts.items():
        for name in classes:
            for number in range(count):
                seed = [len(split), number, *name.encode()]
                rng = np.random.default_rng(seed)
                noise = rng.integers(-40, 40, (12, 10, 3))
                pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
                save_image(Image.fromarray(pixels), folder / split / name / f"{number:02}.png")
    return folder
