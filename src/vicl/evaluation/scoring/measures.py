"""What is measured of one answer, task by task.

Two sizes matter.  The paper's numbers are taken at the *cell*, 111 px square, to which truth and
answer are both brought; what a user gets is the answer at the query's own size.  Where they differ
both are given.  The paper's are those that say "cell".

An answer's cell is what the engine drew there (`Filled.cell`), taken to show the whole query; an
engine without a canvas has none, and its answer is brought to the cell instead.

Source: Bar et al. 2022, arXiv:2209.00647, section 4, and the published evaluation code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from vicl.engine import Filled
from vicl.evaluation.datasets.reading import ONE_CLASS
from vicl.evaluation.episodes import Bounds, Case, Measures
from vicl.images import resize
from vicl.images.imagenet import IMAGENET_STD
from vicl.metrics import box_iou, iou, pixel_accuracy
from vicl.metrics.pictures import PSNR_CEILING, chroma_error, chroma_recovered, mse, psnr, ssim
from vicl.tasks import DetectionTask, SegmentationTask
from vicl.tasks.boxes import component_boxes

CELL = 111
"""Side of the published 2×2 grid's cell, in pixels."""


@dataclass(frozen=True)
class Metric:
    """How a number is called and read.

    Attributes:
        name: Its key in :class:`Scores`.
        title: For people.
        unit: Such as "dB"; "" for none.
        higher_is_better: Or lower.
        digits: After the point, in tables.
    """

    name: str
    title: str
    unit: str = ""
    higher_is_better: bool = True
    digits: int = 3


Measure = Callable[[Case, Filled], dict[str, float]]


def to_cell(mask: Bool[np.ndarray, "h w"], *, size: int = CELL) -> Bool[np.ndarray, "s s"]:
    """Bring a mask to the answer cell as published: bicubic, then the nearer of black and white.

    Args:
        mask: Of any size and aspect; it is stretched.
        size: Side of the cell, in pixels.
    """
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    cell = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(cell) >= 128


def answer_cell(
    answer: Filled, *, size: int = CELL, filter: Literal["bicubic", "bilinear"] = "bicubic"
) -> Float[Tensor, "3 s s"]:
    """An answer as it stands in a cell: as inpainted, or else its image brought there.

    Args:
        answer: Of one prompt.
        size: Side of the cell, in pixels.
        filter: By which a picture of another size is brought to it; aspect is not kept.
    """
    drawn = answer.image if answer.cell is None else answer.cell
    return resize(drawn, (size, size), filter=filter)


def _segmentation(case: Case, answer: Filled) -> dict[str, float]:
    truth, void = marked(case.truth.image), case.truth.void
    found = marked(answer.image)
    cell_void = None if void is None else to_cell(void)
    return {
        "iou_cell": iou(marked(answer_cell(answer)), to_cell(truth), void=cell_void),
        "iou": iou(found, truth, void=void),
        "pixel_accuracy": pixel_accuracy(found, truth, void=void),
    }


def _detection(case: Case, answer: Filled) -> dict[str, float]:
    """Boxes, at the cell those of rounded masks.

    Differs from the published code in that the true box too is made a rectangle at the cell:
    shrinking may take a pixel from its corners, and a right answer would score 0.999. And truth
    (and answers without a canvas) are brought to the cell by the bicubic filter, as masks are,
    not the bilinear one, which `published` takes for what models are shown; on real boxes the mean
    moves by some 0.0002.
    """
    masks = to_cell(marked(case.truth.image)).astype(np.int64)
    wanted = [found.box for found in component_boxes(masks, (CELL, CELL))]
    return {
        "box_iou_cell": _best_box(answer_cell(answer), wanted),
        "box_iou": _best_box(answer.image, case.truth.boxes),
    }


def _best_box(image: Float[Tensor, "3 h w"], boxes: Sequence[Bounds]) -> float:
    """The IoU of the box that an answer shows with the nearest of some boxes."""
    found = DetectionTask(ONE_CLASS).read([image]).boxes
    if not found:
        return 0.0 if boxes else 1.0
    return max((box_iou(found[0].box, box) for box in boxes), default=0.0)


def _colorization(case: Case, answer: Filled) -> dict[str, float]:
    found, truth = answer.image.numpy(), case.truth.image.numpy()
    return {
        "chroma_error": chroma_error(found, truth),
        "chroma_recovered": chroma_recovered(found, truth),
        **_image(case, answer),
    }


def _image(case: Case, answer: Filled) -> dict[str, float]:
    found, truth = answer.image.numpy(), case.truth.image.numpy()
    cells = answer_cell(answer), resize(case.truth.image, (CELL, CELL))
    # The mean of ImageNet's normalisation falls out of a difference; its deviations do not.
    pred, wanted = (cell.numpy() / np.array(IMAGENET_STD)[:, None, None] for cell in cells)
    return {
        "psnr": min(PSNR_CEILING, psnr(found, truth)),
        "ssim": ssim(found, truth),
        "mse": mse(found, truth),
        "mse_imagenet": mse(pred, wanted),
    }


def marked(image: Float[Tensor, "3 h w"]) -> Bool[np.ndarray, "h w"]:
    """What a mask that is drawn white on black marks: each pixel to the nearer of both."""
    mask = SegmentationTask(ONE_CLASS).read([image]).mask
    assert mask is not None
    return np.asarray(mask > 0)


LPIPS = Metric("lpips", "LPIPS (AlexNet, cell)", higher_is_better=False)
_PICTURE = (
    Metric("psnr", "PSNR", unit="dB", digits=2),
    Metric("ssim", "SSIM"),
    Metric("mse", "MSE", higher_is_better=False, digits=4),
    Metric("mse_imagenet", "MSE (ImageNet units, cell)", higher_is_better=False),
)
TASK_MEASURES: dict[Measures, tuple[tuple[Metric, ...], Measure]] = {
    "segmentation": (
        (
            Metric("iou_cell", "IoU (cell)"),
            Metric("iou", "IoU"),
            Metric("pixel_accuracy", "pixel accuracy"),
        ),
        _segmentation,
    ),
    "detection": (
        (Metric("box_iou_cell", "box IoU (cell)"), Metric("box_iou", "box IoU")),
        _detection,
    ),
    "colorization": (
        (
            Metric("chroma_error", "chroma error", unit="CIELAB", higher_is_better=False, digits=2),
            Metric("chroma_recovered", "chroma recovered"),
            *_PICTURE,
        ),
        _colorization,
    ),
    "image": (_PICTURE, _image),
}
