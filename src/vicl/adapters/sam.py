"""SAM, SAM-HQ, SAM 2 and the tracker of SAM 3: clicks, a box, strokes or a coarse mask to masks.

Images are prepared here, not by the library's processors, of which some need torchvision: SAM and
SAM-HQ see an image scaled by its longer side and padded, SAM 2 and SAM 3 one stretched to a square.

Source: Kirillov et al., "Segment Anything", ICCV 2023; Ke et al., "Segment Anything in High
Quality", NeurIPS 2023; Ravi et al., "SAM 2", 2024; Carion et al., "SAM 3", 2025.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.adapters.transformers_folder import (
    HALF,
    IMAGENET,
    Architecture,
    Colours,
    build,
    colours_of,
    open_folder,
)
from vicl.engine import Candidates, MaskPrompt
from vicl.images import ImageLike, as_floats, to_levels
from vicl.models.promptable.asked import spread_points
from vicl.segmenters.encoded import EncodedImage
from vicl.storage.folder import WEIGHTS
from vicl.storage.sharded import hash_weights
from vicl.tasks.boxes import mask_box

ACCEPTS: Final = frozenset({"points", "box", "scribbles", "mask"})

_OFFSET: Final = 1.0
"""By how much log-odds are moved for the stability of a mask."""

_SCALE, _SHIFT = 20.0, -10.0
"""From a mask to the log-odds that the model takes as one: SAM 2's own."""

_STROKES: Final = 8
"""So many points of a side stand for its strokes."""


@dataclass(frozen=True)
class _Kind:
    """A kind of SAM.

    Attributes:
        architecture: Of the library.
        square: Images are stretched to a square; else scaled by their longer side and padded.
        part: Where in its configuration it is described; "" for all of it.
        colours: Mean and deviation by which images are normalised unless the folder says.
    """

    architecture: Architecture
    square: bool
    part: str = ""
    colours: Colours = IMAGENET


def _of_tracker(key: str) -> bool:
    return key.startswith(
        ("tracker_model.", "tracker_neck.", "detector_model.vision_encoder.backbone.")
    )


_SAM2: Final = _Kind(Architecture("Sam2Config", "Sam2Model"), square=True)
_SAM3: Final = _Kind(
    Architecture("Sam3TrackerConfig", "Sam3TrackerModel"), square=True, colours=HALF
)

KINDS: Final[Mapping[str, _Kind]] = {
    "sam": _Kind(Architecture("SamConfig", "SamModel"), square=False),
    "sam_hq": _Kind(Architecture("SamHQConfig", "SamHQModel"), square=False),
    "sam2": _SAM2,
    "sam2_video": _SAM2,
    "sam3_tracker": _SAM3,
    "sam3_tracker_video": _SAM3,
    "sam3_video": _Kind(
        Architecture("Sam3TrackerConfig", "Sam3TrackerModel", wanted=_of_tracker),
        square=True,
        part="tracker_config",
        colours=HALF,
    ),
}
"""By the model_type of a folder's configuration; SAM 3's own holds two models."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """An encoded image.

    Attributes:
        embeddings: As the model takes them.
        size: (height, width) of the image, in pixels.
        scaled: Likewise, as the model saw it, without padding.
    """

    embeddings: dict[str, Any]
    size: tuple[int, int]
    scaled: tuple[int, int]


class Sam:
    """A SAM of the transformers library; it computes in float32.

    A single point gives its three masks, best first; more than that says which is meant and gives
    one. Strokes become points, spread over them. A coarse mask alone goes with its box, without
    which SAM does little with it.

    Args:
        folder: With `config.json` and `model.safetensors`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    accepts = ACCEPTS

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        kind, fields = open_folder(path, KINDS, "a segmenter")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._kind = kind
        self._colours = colours_of(path, kind.colours)
        part = fields.get(kind.part, {}) if kind.part else fields
        self._model = build(kind.architecture, part, path, device=device)
        prompted = self._model.config.prompt_encoder_config
        self._side: int = prompted.image_size
        self._grid: int = 4 * (prompted.image_size // prompted.patch_size)

    def __repr__(self) -> str:
        return f"Sam({self.name!r})"

    @torch.inference_mode()
    def encode(self, image: ImageLike) -> EncodedImage:
        """See :meth:`vicl.engine.Segmenter.encode`."""
        levels = to_levels(image)
        size = levels.shape[:2]
        scaled = self._scaled(size)
        pixels = prepared(levels, scaled, self._side, self._colours)
        found = self._model.get_image_embeddings(pixels.to(self._model.device))
        if isinstance(found, tuple):  # SAM-HQ's
            embeddings = {"image_embeddings": found[0], "intermediate_embeddings": found[1]}
        else:
            embeddings = {"image_embeddings": found}
        seen = _Seen(embeddings, size, scaled)
        answer, sketch = (partial(self._answer, seen, whole=whole) for whole in (True, False))
        return EncodedImage(size, self.accepts, answer, sketch)

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) at which the model sees an image."""
        if self._kind.square:
            return self._side, self._side
        scale = self._side / max(size)
        return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))

    def share_body(self, other: Any) -> None:
        """Take the body of the vision of another model, which has the same weights."""
        self._model.vision_encoder.backbone = other.vision_encoder.backbone

    @torch.inference_mode()
    def _answer(
        self, seen: _Seen, prompts: Sequence[MaskPrompt], *, whole: bool
    ) -> list[Candidates]:
        # One by one, so that each gets to the last bit what it would get alone.
        return [self._drawn(seen, prompt, whole=whole) for prompt in prompts]

    def _drawn(self, seen: _Seen, prompt: MaskPrompt, *, whole: bool) -> Candidates:
        """Masks at the image's size, or as small as the model draws them."""
        asked, several = self._asked(seen, prompt)
        out = self._model(**seen.embeddings, **asked, multimask_output=several)
        scores = out.iou_scores[0, 0].clamp(0, 1)
        order = scores.argsort(descending=True, stable=True)
        odds = out.pred_masks[0, 0][order]
        inner = self._inner(odds, seen.scaled)
        wide, narrow = ((inner > offset).sum((1, 2)) for offset in (-_OFFSET, _OFFSET))
        return Candidates(
            self._at_full_size(odds, seen) if whole else (inner > 0).cpu().numpy(),
            scores[order].cpu().numpy(),
            (narrow / wide.clamp(min=1)).cpu().numpy(),
        )

    def _inner(self, odds: Float[Tensor, "n g g2"], scaled: tuple[int, int]) -> Tensor:
        """Without what lies on the padding."""
        rows, columns = (
            max(1, round(side * length / self._side))
            for side, length in zip(odds.shape[1:], scaled, strict=True)
        )
        return odds[:, :rows, :columns]

    def _at_full_size(self, odds: Float[Tensor, "n g g2"], seen: _Seen) -> np.ndarray:
        masks = np.zeros((len(odds), *seen.size), bool)
        for index, plane in enumerate(odds):
            values = plane[None, None]
            if not self._kind.square:
                values = F.interpolate(values, (self._side,) * 2, mode="bilinear")
                values = values[..., : seen.scaled[0], : seen.scaled[1]]
            full = F.interpolate(values, seen.size, mode="bilinear")
            masks[index] = (full[0, 0] > 0).cpu().numpy()
        return masks

    def _asked(self, seen: _Seen, prompt: MaskPrompt) -> tuple[dict[str, Tensor], bool]:
        """A prompt as the model takes it, and whether it may mean several things."""
        scale = np.array([seen.scaled[1] / seen.size[1], seen.scaled[0] / seen.size[0]])
        points, labels = prompt.points, prompt.labels
        if prompt.scribbles is not None:
            for label in (1, 0):
                drawn = spread_points(prompt.scribbles == label, _STROKES)
                points = np.concatenate([points, drawn])
                labels = np.concatenate([labels, np.full(len(drawn), label, np.uint8)])
        box = prompt.box
        if box is None and prompt.mask is not None and not len(points):
            box = np.array(mask_box(prompt.mask), np.float32)
        place = self._model.device
        asked: dict[str, Tensor] = {}
        if len(points):
            at = torch.from_numpy((points * scale).astype(np.float32))
            asked["input_points"] = at[None, None].to(place)
            asked["input_labels"] = torch.from_numpy(labels.astype(np.int64))[None, None].to(place)
        if box is not None:
            corners = torch.from_numpy((box * np.tile(scale, 2)).astype(np.float32))
            asked["input_boxes"] = corners[None, None].to(place)
        if prompt.mask is not None:
            asked["input_masks"] = self._as_odds(prompt.mask, seen).to(place)
        return asked, len(points) == 1 and box is None and prompt.mask is None

    def _as_odds(self, mask: np.ndarray, seen: _Seen) -> Float[Tensor, "1 1 g g"]:
        """A mask as the model's own would look, on its grid."""
        values = torch.from_numpy(mask)[None, None].float()
        size = tuple(max(1, round(self._grid * side / self._side)) for side in seen.scaled)
        shares = F.interpolate(values, size, mode="area")
        padding = (0, self._grid - size[1], 0, self._grid - size[0])
        return F.pad(_SCALE * shares + _SHIFT, padding, value=_SHIFT)


def prepared(
    levels: UInt8[np.ndarray, "h w 3"], scaled: tuple[int, int], side: int, colours: Colours
) -> Float[Tensor, "1 3 s s"]:
    """An image as a model sees it: scaled, normalised, and padded to a square."""
    mean, deviation = (torch.tensor(part)[:, None, None] for part in colours)
    small = Image.fromarray(levels).resize(scaled[::-1], Image.Resampling.BILINEAR)
    pixels = (as_floats(np.array(small)) - mean) / deviation
    return F.pad(pixels, (0, side - scaled[1], 0, side - scaled[0]))[None]
