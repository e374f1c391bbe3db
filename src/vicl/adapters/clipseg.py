"""CLIPSeg: a name, or a region of another image, to a mask.

Source: Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts", CVPR 2022.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.adapters.asking import things
from vicl.adapters.sam import prepared
from vicl.adapters.transformers_folder import (
    IMAGENET,
    Architecture,
    build,
    colours_of,
    open_folder,
)
from vicl.adapters.words import Words
from vicl.engine import Candidates, MaskPrompt
from vicl.files import display
from vicl.images import ImageLike, to_levels
from vicl.segmenters.encoded import EncodedImage
from vicl.storage.folder import WEIGHTS, ModelError
from vicl.storage.sharded import hash_weights
from vicl.tasks.boxes import mask_box

_SIDE: Final = 352
"""Of the square at which it was trained, in pixels."""

_KINDS: Final = {"clipseg": Architecture("CLIPSegConfig", "CLIPSegForImageSegmentation")}

_DARK: Final = 0.1
"""What is not meant of an example is darkened to this share, and blurred."""

_BLUR: Final = 0.01
"""Of the blur, of the example's longer side."""

_AROUND: Final = 0.5
"""What is seen of an example around the thing, of the thing's longer side."""


class CLIPSeg:
    """CLIPSeg of the transformers library; it computes in float32.

    A name is answered by one mask, of all that it names, or by none. Every answer costs as much as
    encoding. With a name and an example the answer lies between both.

    Args:
        folder: With `config.json`, `model.safetensors` and the vocabulary.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    accepts = frozenset({"text", "example"})

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        architecture, fields = open_folder(path, _KINDS, "a segmenter")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._colours = colours_of(path, IMAGENET)
        self._model = build(architecture, fields, path, device=device)
        text, vision = self._model.config.text_config, self._model.config.vision_config
        if _SIDE % vision.patch_size:
            raise ModelError(
                f"{display(path)}: its patches of {vision.patch_size} px do not fit {_SIDE} px"
            )
        self._words = Words.of_clip(path, text)

    def __repr__(self) -> str:
        return f"CLIPSeg({self.name!r})"

    def encode(self, image: ImageLike) -> EncodedImage:
        """See :meth:`vicl.engine.Segmenter.encode`."""
        levels = to_levels(image)
        answer = partial(self._answer, self._pixels(levels), levels.shape[:2])
        return EncodedImage(levels.shape[:2], self.accepts, answer)

    @torch.inference_mode()
    def _answer(
        self,
        pixels: Float[Tensor, "1 3 s s"],
        size: tuple[int, int],
        prompts: Sequence[MaskPrompt],
    ) -> list[Candidates]:
        return [self._drawn(pixels, size, prompt) for prompt in prompts]

    def _drawn(
        self, pixels: Float[Tensor, "1 3 s s"], size: tuple[int, int], prompt: MaskPrompt
    ) -> Candidates:
        meant = torch.stack(self._meanings(prompt)).mean(0)
        out = self._model(pixel_values=pixels, conditional_embeddings=meant)
        odds = out.logits.reshape(1, 1, *out.logits.shape[-2:])
        chances = F.interpolate(odds, size, mode="bilinear")[0].sigmoid().cpu().numpy()
        masks = chances > 0.5
        score = chances[masks].mean() if masks.any() else 0.0
        return things(masks, np.array([score], np.float32), prompt)

    def _meanings(self, prompt: MaskPrompt) -> list[Float[Tensor, "1 d"]]:
        """What is asked for, as CLIP sees it: one for each way of saying it."""
        device = self._model.device
        found = []
        if prompt.text is not None:
            numbers = self._words(prompt.text).to(device)
            found.append(self._model.get_conditional_embeddings(1, input_ids=numbers))
        if prompt.example is not None:
            image, region = prompt.example
            shown = self._pixels(highlighted(to_levels(image), region))
            found.append(self._model.get_conditional_embeddings(1, conditional_pixel_values=shown))
        return found

    def _pixels(self, levels: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 s s"]:
        return prepared(levels, (_SIDE, _SIDE), _SIDE, self._colours).to(self._model.device)


def highlighted(
    image: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """A picture in which one thing stands out: the rest is dark and blurred, and cut off.

    Source: section 4 of the paper.
    """
    radius = _BLUR * max(image.shape)
    blurred = np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    dark = (_DARK * blurred).round().astype(np.uint8)
    shown = np.where(region[..., None], image, dark)
    x0, y0, x1, y1 = mask_box(region)
    around = _AROUND * max(x1 - x0, y1 - y0)
    left, top = (max(0, int(at - around)) for at in (x0, y0))
    return np.ascontiguousarray(shown[top : int(y1 + around) + 1, left : int(x1 + around) + 1])
