"""Masks that clicks may mean, by the segmenter that comes with the package."""

from __future__ import annotations

import base64
import logging
from collections import OrderedDict
from typing import Final

from PIL import Image

from vicl.engine import PromptableImage, Segmenter
from vicl.models.devices import Device
from vicl.server.answering import Answering
from vicl.server.problems import Refusal
from vicl.server.project import png
from vicl.server.schemas import Candidate, Clicks, Found
from vicl.server.worker import Urgency
from vicl.tasks.boxes import mask_box

log = logging.getLogger(__name__)

_ENCODED: Final = 3
"""So many images are kept encoded."""
_SHOWN: Final = 3


class Clicking:
    """Answers clicks; an image is encoded once.

    Args:
        answering: Whose worker does it.
        device: Where the segmenter runs.
    """

    def __init__(self, answering: Answering, *, device: Device = "auto") -> None:
        self.answering, self.device = answering, device
        self._segmenter: Segmenter | None = None
        self._encoded: OrderedDict[str, PromptableImage] = OrderedDict()

    def candidates(self, image: str, clicks: Clicks) -> Found:
        """Three masks at most, best first.

        Raises:
            Refusal: If there is no such image.
            ValueError: If the clicks are none, or not on the image.
        """
        self.answering.project.whole(image)
        if not clicks.points and clicks.box is None:
            raise Refusal(422, "Click on the thing, or draw a box around it.")
        found: Found = self.answering.run(Urgency.CLICK, lambda: self._find(image, clicks))
        return found

    def _find(self, image: str, clicks: Clicks) -> Found:
        encoded = self._encode(image)
        masks = encoded.masks(
            list(clicks.points) or None,
            list(clicks.labels) or None if clicks.points else None,
            box=clicks.box,
        )
        shown = []
        for mask, score in zip(masks.masks[:_SHOWN], masks.scores, strict=False):
            if mask.any():
                packed = base64.b64encode(png(Image.fromarray(mask))).decode()
                score = round(float(score), 4)
                shown.append(Candidate(png=packed, score=score, box=mask_box(mask)))
        return Found(candidates=tuple(shown))

    def warm(self) -> None:
        """Load the segmenter; a fault is told when it is asked."""
        try:
            self._load()
        except (ValueError, OSError) as error:
            log.info("the segmenter could not be loaded beforehand", exc_info=error)

    def _load(self) -> Segmenter:
        from vicl.loading import load_segmenter

        if self._segmenter is None:
            self._segmenter = load_segmenter(device=self.device)
        return self._segmenter

    def _encode(self, image: str) -> PromptableImage:
        encoded = self._encoded.pop(image, None)
        if encoded is None:
            encoded = self._load().encode(self.answering.project.path(image))
        self._encoded[image] = encoded
        while len(self._encoded) > _ENCODED:
            self._encoded.popitem(last=False)
        return encoded
