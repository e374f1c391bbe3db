"""Pictures of `docs/explained/`: what the paper's figures show, drawn by vicl's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Canvas
from vicl.engine import TokenInpainter
from vicl.evaluation.datasets.generated.shapes import ShapesStudy
from vicl.evaluation.episodes import Case
from vicl.evaluation.scoring.shapes import shape_ious
from vicl.evaluation.studies.attention_pictures import Looked, draw_weights
from vicl.evaluation.studies.hole_attention import hole_attention
from vicl.exports.sheets import contact_sheet
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.files.packaged import PHOTOS
from vicl.images import to_tensor
from vicl.loading import load_model
from vicl.models.tokens import token_pixels
from vicl.prompt import Example, Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompter import VisualPrompter

CHANGES = ("color", "shape", "size", "size+color", "shape+color", "size+shape")
HOLE = torch.tensor([0.55, 0.55, 0.55])


def canvas() -> Image.Image:
    """Prompts with their holes, filled by the model that comes with vicl."""
    model = _model()
    shown, filled, true = [], [], []
    for change in CHANGES:
        case = _case(change)
        composed = _composed(case.prompt)
        shown.append(_with_hole(composed))
        filled.append(_filled(model, composed))
        layout = CanvasModel(model).grid(1)
        whole = composed.image.clone()
        layout.answer.of(whole)[:] = layout.draw(to_tensor(case.truth.image), layout.answer)
        true.append(whole)
    labels = ("the prompt", "filled", "the truth")
    return contact_sheet([shown, filled, true], headers=CHANGES, labels=labels, cell=150)


def words() -> Image.Image:
    """The hole's patches as words of the vocabulary, and how likely each is."""
    model = _model()
    composed = _composed(_case("color").prompt)
    image, hole = composed.image[None], composed.hole[None]
    chances = model.token_logits(image, hole).float().softmax(-1)[0]  # (n, k)
    best, word = chances.max(-1)
    grid = (model.canvas_size[0] // model.patch_size, model.canvas_size[1] // model.patch_size)
    colours = torch.from_numpy(np.random.default_rng(0).random((chances.shape[1], 3))).float()
    coloured = torch.stack(
        [token_pixels(channel[None], grid, model.patch_size)[0] for channel in colours[word].T]
    )
    sure = token_pixels(best[None], grid, model.patch_size)[0].expand(3, -1, -1)
    inside = composed.hole[None].expand(3, -1, -1)
    row = [
        _with_hole(composed),
        torch.where(inside, coloured, composed.image),
        torch.where(inside, sure, composed.image),
        _filled(model, composed),
    ]
    headers = ("the canvas, its hole", "likeliest words", "how likely they are", "drawn")
    return contact_sheet([row], headers=headers, cell=224)


def attention() -> Image.Image:
    """Where the hole of one prompt looks, in three layers of the network."""
    model = _model()
    rows, labels = [], []
    for change in ("color", "shape"):
        composed = _composed(_case(change).prompt)
        seen = hole_attention(model, composed.image, composed.hole)
        looked = Looked(change, composed, seen, model.patch_size)
        layers = seen.weights.shape[0]
        chosen = (0, layers // 2, layers - 1)
        means = seen.weights[..., 1:].mean(dim=(1, 2))  # (layers, n)
        rows.append([seen.filled, *(draw_weights(looked, means[layer]) for layer in chosen)])
        labels.append(change)
    headers = ("filled", *(f"layer {layer + 1} of {layers}" for layer in chosen))
    return contact_sheet(rows, headers=headers, labels=labels, cell=224)


def figures() -> Image.Image:
    """Pages and grids as training sees them."""
    source = SyntheticFigures(size=224, seed=3, clean=0.3)
    drawn = [source.figure(number) for number in range(8)]
    pictures = [to_tensor(Image.fromarray(one.image)) for one in drawn]
    captions = [one.rule for one in drawn]
    return contact_sheet(
        [pictures[:4], pictures[4:]],
        headers=[""] * 4,
        captions=[captions[:4], captions[4:]],
        cell=200,
    )


def arrangements() -> Image.Image:
    """One prompt in the eight arrangements of the published grid."""
    photos = [to_tensor(PHOTOS / name) for name in ("dandelion_1.jpg", "dandelion_1_mask.png")]
    prompt = Prompt([Example(*photos)], to_tensor(PHOTOS / "dandelion_3.jpg"))
    engine = CanvasModel(_model())
    base = engine.grid(1)
    shown = [_with_hole(base.arranged(number).compose(prompt)) for number in range(1, 9)]
    names = [str(number) for number in range(1, 9)]
    return contact_sheet(
        [shown[:4], shown[4:]], headers=[""] * 4, captions=[names[:4], names[4:]], cell=200
    )


def study() -> Image.Image:
    """The six tasks of the paper's study, answered by two engines."""
    rows = []
    for change in CHANGES:
        case = _case(change)
        answers = [
            to_tensor(next(iter(VisualPrompter(name).map_prompts([case.prompt]))).image)
            for name in ("default", "analogies")
        ]
        query = to_tensor(case.prompt.query)
        rows.append([*_pair(case), query, to_tensor(case.truth.image), *answers])
    headers = ("example", "its output", "query", "truth", "default", "analogies")
    return contact_sheet(rows, headers=headers, labels=list(CHANGES), cell=130)


def confidence() -> Image.Image:
    """Masks on photographs, and how sure `matching` is of each pixel."""
    rows = []
    for shown, asked in (("dandelion_1", "dandelion_3"), ("meadow_1", "meadow_2")):
        example = (PHOTOS / f"{shown}.jpg", PHOTOS / f"{shown}_mask.png")
        prompter = VisualPrompter("matching", [example], "segmentation")
        answer = prompter.predict(PHOTOS / f"{asked}.jpg")
        assert answer.confidence is not None
        sure = torch.from_numpy(answer.confidence).expand(3, -1, -1)
        query, truth = (to_tensor(PHOTOS / f"{asked}{end}") for end in (".jpg", "_mask.png"))
        rows.append([query, to_tensor(answer.image), truth, (sure - 0.5).clamp(0, 1) * 2])
    headers = ("query", "its mask", "truth", "confidence, 0.5 to 1")
    return contact_sheet(rows, headers=headers, cell=220)


EXPLAINED: Mapping[str, Callable[[], Image.Image]] = {
    one.__name__: one
    for one in (canvas, words, attention, figures, arrangements, study, confidence)
}


@cache
def _model() -> TokenInpainter:
    return cast(TokenInpainter, load_model("default", device="cpu"))


@cache
def _case(change: str) -> Case:
    """Of ten episodes the one that the model answers best."""
    asked, model = ShapesStudy(change), _model()
    cases = [asked.load(episode) for episode in asked.episodes(10, seed=0, examples=1)]

    def score(case: Case) -> float:
        drawn = CanvasModel(model).grid(1).crop(_filled(model, _composed(case.prompt)))
        truth = to_tensor(case.truth.image)
        enlarged = torch.nn.functional.interpolate(drawn[None], truth.shape[-2:], mode="bilinear")
        return shape_ious(enlarged[0].numpy(), truth.numpy(), change)[0]

    return max(cases, key=score)


def _filled(model: TokenInpainter, composed: Canvas) -> Float[Tensor, "3 H W"]:
    return model.inpaint(composed.image[None], composed.hole[None]).image[0]


def _composed(prompt: Prompt) -> Canvas:
    return CanvasModel(_model()).grid(1).compose(prompt)


def _pair(case: Case) -> list[Float[Tensor, "3 _ _"]]:
    (example,) = case.prompt.examples
    return [to_tensor(example.input), to_tensor(example.output)]


def _with_hole(composed: Canvas) -> Float[Tensor, "3 H W"]:
    return torch.where(composed.hole, HOLE[:, None, None], composed.image)
