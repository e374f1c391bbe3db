"""Where the hole's tokens look: by the cells of the layout, and drawn over the canvas.

A transformer fills a hole with what it finds elsewhere on the canvas.  Its attention weights say
where its tokens look; not what they make of what they see there.

Source: Bar et al. 2022, arXiv:2209.00647, section 5 and appendix (attention averaged over heads).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.canvas.rects import Rect
from vicl.evaluation.episodes import Dataset
from vicl.evaluation.scoring.scorers import Metric
from vicl.evaluation.studies.attention_pictures import Looked, attention_sheet, heads_sheet
from vicl.evaluation.studies.hole_attention import HoleAttention, hole_attention
from vicl.evaluation.studies.table import Row, StudyTable
from vicl.evaluation.studies.variants import Asking
from vicl.files.progress import progress
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel

SHARE = Metric("attention_share", "share of the hole's attention")


@dataclass(frozen=True, eq=False)
class AttentionStudy:
    """What came of the study.

    Attributes:
        table: A row for each part of the layout and engine: the share of the hole's attention that
            goes there. The difference is to the share of tokens that look everywhere alike.
        pictures: By the names of their files: the canvases with where their holes looked, and a
            sheet of all heads of each engine and arrangement.
    """

    table: StudyTable
    pictures: dict[str, Image.Image]


@dataclass(frozen=True)
class _Way:
    """One engine with one arrangement of its layout."""

    name: str
    engine: CanvasModel
    layout: Layout
    arrangement: str

    def look(self, prompt: Prompt, index: int) -> Looked:
        """Fill the hole of a prompt, and see where it looks."""
        canvas = self.layout.compose(prompt)
        found = hole_attention(self.engine.inpainter, canvas.image, canvas.hole)
        words = (self.name, self.arrangement, f"episode {index}")
        label = "\n".join(word for word in words if word)
        return Looked(label, canvas, found, self.engine.inpainter.patch_size)


def run(
    engines: Mapping[str, CanvasModel],
    dataset: Dataset,
    asking: Asking,
    *,
    examples: int = 1,
    arrangements: Sequence[int] = (1,),
    pictured: int = 3,
) -> AttentionStudy:
    """Measure and draw where the hole's tokens look.

    Args:
        engines: MAE-VQGAN, MAE, BEiT or autoregressive on a layout, by their names.
        dataset: Of any task.
        asking: Which episodes to average over; nothing is answered, so that there is no run.
        examples: How many an episode shows.
        arrangements: Of the layout, 1 to 8 (:data:`vicl.canvas.arrangements.ARRANGEMENTS`).
        pictured: How many episodes are drawn, at least one; of the first, each head too.

    Raises:
        ValueError: If an engine has no attention, or cannot fill the hole of an arrangement.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    if not engines or pictured < 1:
        raise ValueError(
            f"got {len(engines)} engines, pictured={pictured}, expected at least 1 of each"
        )
    ways = [
        _Way(name, engine, engine.grid(examples).arranged(number), _named(number, arrangements))
        for name, engine in engines.items()
        for number in arrangements
    ]
    shares: dict[tuple[str, str], list[tuple[float, float]]] = {}
    drawn: list[list[Looked]] = []
    episodes = asking.episodes(dataset, examples)
    with progress("attention", total=len(episodes), show=asking.progress) as advance:
        for episode in episodes:
            prompt = dataset.load(episode).prompt
            looked = [way.look(prompt, episode.index) for way in ways]
            for way, one in zip(ways, looked, strict=True):
                for part, pair in part_shares(one.attention, way.layout).items():
                    variant = f"{way.arrangement}: {part}" if way.arrangement else part
                    shares.setdefault((variant, way.name), []).append(pair)
            if len(drawn) < pictured:
                drawn.append(looked)
            advance()
    sheets = {f"heads-{number}.png": heads_sheet(one) for number, one in enumerate(drawn[0], 1)}
    every = [one for several in zip(*drawn, strict=True) for one in several]
    return AttentionStudy(_table(shares), {"attention.png": attention_sheet(every), **sheets})


def part_shares(attention: HoleAttention, layout: Layout) -> dict[str, tuple[float, float]]:
    """The share of a hole's attention that goes to each part of the canvas.

    Args:
        attention: Of the hole; averaged over layers, heads and tokens.
        layout: Of the canvas.

    Returns:
        By part (see :func:`regions`, and "no place" for the class or start token): its share, and
        what that would be if the tokens looked everywhere alike. Each of the two sums to 1.
    """
    found = attention.weights.mean(dim=(0, 1, 2))  # (1 + n)
    even = attention.even.mean(dim=0)
    parts = {
        name: (float(found[1:][patches].sum()), float(even[1:][patches].sum()))
        for name, patches in regions(layout).items()
    }
    return parts | {"no place": (float(found[0]), float(even[0]))}


def regions(layout: Layout) -> dict[str, Bool[Tensor, " n"]]:
    """The parts of a layout as patches, each patch in one part.

    A patch belongs to the cell that covers most of it, those of the hole to the hole, and one that
    no cell covers to the margin. Parts without a patch are left out.
    """
    several = layout.examples > 1
    cells = {"query": layout.query}
    for index, (input, output) in enumerate(zip(layout.inputs, layout.outputs, strict=True), 1):
        name = f"example {index}" if several else "example"
        cells |= {f"{name}, input": input, f"{name}, output": output}
    hidden = _covered(layout.hole, layout) > 0
    most, owner = torch.stack([_covered(cell, layout) for cell in cells.values()]).max(dim=0)
    found = {name: (owner == index) & (most > 0) & ~hidden for index, name in enumerate(cells)}
    found |= {"hole": hidden, "margin": (most == 0) & ~hidden}
    return {name: patches for name, patches in found.items() if bool(patches.any())}


def _covered(rect: Rect, layout: Layout) -> Float[Tensor, " n"]:
    """How much of each patch a rectangle covers, in [0, 1]."""
    inside = torch.zeros(layout.canvas_size)
    rect.of(inside)[:] = 1
    return torch.nn.functional.avg_pool2d(inside[None, None], layout.patch_size).flatten()


def _named(arrangement: int, all_of_them: Sequence[int]) -> str:
    """What an arrangement is called, where there are several."""
    return f"arrangement {arrangement}" if len(all_of_them) > 1 else ""


def _table(shares: dict[tuple[str, str], list[tuple[float, float]]]) -> StudyTable:
    rows = []
    for (variant, engine), pairs in shares.items():
        found, even = (tuple(values) for values in zip(*pairs, strict=True))
        rows.append(Row.of_means(variant, engine, found, even))
    return StudyTable(
        name="attention",
        title="Where the tokens of the hole look",
        metric=SHARE,
        rows=tuple(rows),
        notes=(
            "Attention weights of the hole's tokens, averaged over these tokens, all heads and all "
            "layers in which they exist.",
            '"no place" is the class or start token; a patch belongs to the cell that covers most '
            "of it.",
        ),
        difference_to="what tokens give that look everywhere alike",
    )
