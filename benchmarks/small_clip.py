"""Train a small CLIP on captioned pictures of generated scenes; write it in the hub's format.

    python benchmarks/small_clip.py --out out/small-clip

It goes on where it was stopped. The folder is what `--backbone` takes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from clip_classes import (
    BACKGROUNDS,
    COLOURS,
    OPENINGS,
    SHAPES,
    SIDE,
    TEXTURES,
    draw_pair,
    draw_scene,
    held_out,
    picture,
)
from clip_words import write_vocabulary
from vicl.adapters.transformers_folder import CLIP
from vicl.adapters.words import tokenizer
from vicl.models.devices import pick_device
from vicl.training.job import Job, Look, Round, Seat
from vicl.training.loop import fit
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.parallel import processes
from vicl.training.settings import BatchSize, Optimiser, Schedule

CONTEXT: Final = 32
"""Tokens of a caption, at most, with those of its start and end."""

_MEAN, _DEVIATION = (torch.tensor(one)[:, None, None] for one in CLIP)
_GREATEST_SCALE: Final = math.log(100)
"""Of the logits' scale, in logarithms. Source: Radford et al. 2021, arXiv:2103.00020, 2.5."""


def words_of_captions() -> list[str]:
    """Texts with every word that captions have.

    Words of templates and class names that no caption has are tokens, too, whose embeddings stay as
    they were drawn.
    """
    texts = [*COLOURS, *SHAPES, *TEXTURES.values(), *BACKGROUNDS.values()]
    texts += [opening for some in OPENINGS.values() for opening in some]
    return [*texts, "and small on background", "x type shape object many"]


def new_model(tokens: int) -> Any:
    """A CLIP of about 1.4 million weights for pictures of 64 px."""
    import transformers

    config = transformers.CLIPConfig(
        text_config={
            "vocab_size": tokens,
            "max_position_embeddings": CONTEXT,
            "bos_token_id": tokens - 2,
            "eos_token_id": tokens - 1,
            "pad_token_id": tokens - 1,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        },
        vision_config={
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": SIDE,
            "patch_size": 16,
        },
        projection_dim=128,
    )
    return transformers.CLIPModel(config)


def pixels_of(images: list[np.ndarray]) -> Tensor:
    """Normalised pixels (b, 3, s, s) of uint8 images."""
    levels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return (levels - _MEAN) / _DEVIATION


class Contrast(Objective):
    """A picture is told which caption of the batch is its own, and a caption which picture.

    Pictures whose captions are the same words share them.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batch: Any) -> Losses:
        """See the base class; the batch: pixels, numbers of the captions' tokens, the step."""
        pixels, numbers, _ = batch
        model: Any = self.model
        with torch.no_grad():
            model.logit_scale.clamp_(max=_GREATEST_SCALE)
        said = model(input_ids=numbers, pixel_values=pixels).logits_per_image.float()
        same = (numbers[:, None] == numbers[None]).all(-1).float()
        wanted = same / same.sum(1, keepdim=True)
        loss = (F.cross_entropy(said, wanted) + F.cross_entropy(said.T, wanted)) / 2
        right = same.gather(1, said.argmax(1, keepdim=True)).mean()
        return Losses({"model": loss}, {"right": right.detach()})


class Pairs:
    """Batches of pictures with captions, without end; what a batch holds follows from its number.

    Args:
        words: The library's tokenizer.
        seed: Decides all.
    """

    def __init__(self, words: Any, seed: int) -> None:
        self.words, self.seed = words, seed

    def __call__(self, seat: Seat, device: torch.device) -> Iterator[Round]:
        """See :class:`vicl.training.job.Job`."""
        number = seat.start
        while True:
            first = seat.first(number)
            rngs = [np.random.default_rng((self.seed, first + k)) for k in range(seat.batch)]
            pairs = [draw_pair(rng) for rng in rngs]
            numbers = numbers_of(self.words, [pair.caption for pair in pairs])
            yield Round((pixels_of([p.image for p in pairs]).to(device), numbers.to(device)))
            number += 1


def numbers_of(words: Any, texts: list[str]) -> Tensor:
    """Numbers of the tokens of texts, with start and end; ends fill up the shorter ones."""
    return torch.tensor(
        words(texts, padding=True, truncation=True, max_length=CONTEXT)["input_ids"]
    )


def looking(words: Any, each: int = 8) -> Any:
    """Asks a model which of the held-out classes each of some pictures of theirs shows."""
    classes = held_out()
    rng = np.random.default_rng(2**31 - 1)
    drawn = [
        picture(rng, draw_scene(rng, colour, shape, "photo"), "photo")
        for colour, shape in map(str.split, classes)
        for _ in range(each)
    ]
    numbers = numbers_of(words, [f"a photo of a {name}." for name in classes])
    truth = torch.arange(len(classes)).repeat_interleave(each)

    @torch.inference_mode()
    def look(model: Any) -> Look:
        device = model.logit_scale.device
        said = model(input_ids=numbers.to(device), pixel_values=pixels_of(drawn).to(device))
        logits = said.logits_per_image.float().cpu()
        figures = {
            "loss": float(F.cross_entropy(logits, truth)),
            "right": float((logits.argmax(1) == truth).float().mean()),
        }
        return Look(figures, Image.fromarray(np.concatenate(drawn[::each], 1)), len(drawn))

    return look


def write_folder(model: Any, folder: Path, figures: dict[str, float], steps: int) -> None:
    """Save a model as the hub has them, in float16, with its card."""
    model.half().save_pretrained(folder)
    mean, deviation = (list(one) for one in CLIP)
    said = {"do_normalize": True, "image_mean": mean, "image_std": deviation, "size": SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    (folder / "README.md").write_text(
        "---\nlibrary_name: transformers\nlicense: apache-2.0\n---\n\n# A small CLIP\n\n"
        f"Trained by vicl's `benchmarks/small_clip.py`, {steps} steps, on generated scenes with "
        "captions alone.\n"
        f"Zero-shot accuracy over {len(held_out())} classes that no caption of training has: "
        f"{figures['right']:.3f} (chance {1 / len(held_out()):.3f}).\n"
    )


def main() -> None:
    """Train, and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(told.seed)
    model = new_model(write_vocabulary(told.out, words_of_captions()))
    words = tokenizer(told.out, "clip")
    begun = time.perf_counter()
    job = Job(
        objective=Contrast(model),
        rounds=Pairs(words, told.seed),
        batch=BatchSize(size=told.batch),
        steps=told.steps,
        schedule=Schedule(steps=told.steps, warmup=0.08),
        optimiser=Optimiser(
            lr=told.lr, scale_lr=False, betas=(0.9, 0.98), weight_decay=0.1, clip=1.0
        ),
        look=looking(words),
        look_every=100,
        folder=told.out / "run",
        name="small-clip",
        save_every=100,
        keep=1,
    )
    with processes(pick_device("auto"), precision=told.precision) as accelerator:
        trained = fit(job, accelerator)
    assert trained.look is not None
    write_folder(trained.model, told.out, trained.look.figures, told.steps)
    weights = sum(p.numel() for p in trained.model.parameters())
    print(
        f"{told.out}: {weights:,} weights; of pictures of held-out classes "
        f"{trained.look.figures['right']:.3f} right after {told.steps} steps, "
        f"{time.perf_counter() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
