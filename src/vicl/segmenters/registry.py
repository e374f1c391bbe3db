"""The segmenters by name; importing this imports neither PyTorch nor a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class SegmenterRow:
    """A segmenter by name, or a family of them that is loaded from a folder or the hub.

    Attributes:
        name: What :func:`vicl.load_segmenter` takes, or what people call the family.
        accepts: Which of :data:`vicl.prompt.WAYS` it takes.
        use: What it is, in a line.
        folder: Its model folder among the package's weights; None for a family.
    """

    name: str
    accepts: frozenset[str]
    use: str
    folder: str | None = None


_CLICKS: Final = frozenset({"points", "box", "scribbles", "mask"})

SEGMENTERS: Final[tuple[SegmenterRow, ...]] = (
    SegmenterRow(
        "default",
        _CLICKS,
        "clicks, a box, scribbles or a coarse mask to masks: a small network, with the package",
        folder="promptable",
    ),
    SegmenterRow("sam", _CLICKS, "SAM and SAM-HQ of Meta and ETH, from your folder or the hub"),
    SegmenterRow("sam2", _CLICKS, "SAM 2: as SAM, better and quicker"),
    SegmenterRow("sam3", _CLICKS | {"text"}, "SAM 3: also all things of a name"),
    SegmenterRow("sam3-tracker", _CLICKS, "the part of SAM 3 that answers clicks, alone"),
    SegmenterRow(
        "clipseg", frozenset({"text", "example"}), "CLIPSeg: what a name or an example says, small"
    ),
    SegmenterRow(
        "grounding-dino",
        _CLICKS | {"text"},
        "Grounding DINO finds what is named, and another segmenter draws it",
    ),
)
