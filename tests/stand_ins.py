"""Engines that the tests put in place of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vicl.engine import Filled, Sampling
from vicl.images import to_tensor
from vicl.prompt import Prompt


@dataclass
class Mirror:
    """Fills a hole with the negative of what stands left of it (else right), or with noise."""

    canvas_size: tuple[int, int] = (224, 224)
    patch_size: int = 16
    name: str = "mirror"
    weights_hash: str | None = None
    most_examples: int | None = None
    spins: int = 1

    def inpaint(
        self,
        image: Tensor,
        hole: Tensor,
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        filled = image.clone()
        for index in range(len(image)):
            rows, columns = torch.where(hole[index])
            top, bottom, left, right = (
                int(v) for v in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
            )
            width = right - left
            beside = left - width if left >= width else left + width
            part = 1 - image[index, :, top:bottom, beside : beside + width]
            if generators is not None:
                part = torch.rand(part.shape, generator=generators[index])
            filled[index, :, top:bottom, left:right] = part
        likelihood = torch.full((len(image),), -1.0 if generators is None else -2.0)
        return Filled(filled, confidence=torch.ones_like(image[:, 0]), log_likelihood=likelihood)


@dataclass
class Bright:
    """Answers white where the query is brighter than the mean of the examples' white parts.

    A whole image of a single colour (a query to which nobody has an answer) makes it fail.
    """

    name: str = "bright"
    weights_hash: str | None = None
    max_size: int | None = None
    prompts: int = 0

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        self.prompts += len(prompts)
        found = []
        for prompt in prompts:
            query = to_tensor(prompt.query).mean(dim=0)
            if query.min() == query.max():
                raise RuntimeError("nothing to see in a query of one colour")
            marked = torch.cat(
                [
                    to_tensor(e.input).mean(dim=0)[to_tensor(e.output)[0] > 0.5]
                    for e in prompt.examples
                ]
            )
            level = 0.5 * float(marked.mean())
            found.append(Filled((query > level).float().expand(3, -1, -1).contiguous()))
        return found
