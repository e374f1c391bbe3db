"""Parts of the graph of `matching` that few prompts have: several examples, small things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.graphs.conftest import scene
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import vicl
from vicl.graphs import exporting
from vicl.graphs.matching import MatchingGraph, _closer, _Correction
from vicl.graphs.sides import chosen_side, first_of
from vicl.metrics import iou
from vicl.models.matching.closer import grown, parts_of
from vicl.models.matching.cues import BEST, FEW
from vicl.models.matching.head import Scored
from vicl.models.matching.knowledge import Correction
from vicl.models.matching.view import FINE


class Rare(nn.Module):
    """The closer look's joining, and a correction."""

    def __init__(self) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(0)
        parts = torch.randn(11, generator=made), torch.randn(10, generator=made)
        self.correction = _Correction(Correction(*parts, torch.rand(10, generator=made) + 0.1))

    def forward(
        self, mask: Tensor, depth: Tensor, tiles: Tensor, deep: Tensor, cues: Tensor
    ) -> tuple[Tensor, Tensor]:
        none = torch.zeros(1)
        seen = [Scored(tiles[i : i + 1], none, deep[i : i + 1]) for i in range(4)]
        return _closer(Scored(mask, none, depth), seen).mask + 0, self.correction(cues)


def smooth(seed: int, *shape: int) -> Tensor:
    noise = 4 * torch.randn(1, shape[0], 9, 9, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, shape[1:], mode="bicubic")[0]


@pytest.mark.slow
def test_a_closer_look_and_a_correction_are_computed_alike(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="exporting needs vicl[onnx]")
    onnxruntime = pytest.importorskip("onnxruntime")
    first = smooth(0, 1, 192, 192)
    whole = Scored(grown(first), torch.zeros(1), torch.zeros(1, 168, 168))
    tiles = torch.cat([part.mask for part in parts_of(whole)]) + 0.3 * smooth(1, 4, 192, 192)
    inputs = {
        "mask": first,
        "depth": smooth(2, 1, 96, 96),
        "tiles": tiles,
        "deep": smooth(3, 4, 96, 96),
        "cues": smooth(4, 10, 48, 48),
    }
    module = Rare().requires_grad_(False)
    traced = exporting._Traced(inputs, {}, ("mask_", "added"))
    exporting._write(module, traced, {}, tmp_path / "rare.onnx")
    wanted = module(**inputs)
    assert not torch.equal(wanted[0], whole.mask)
    session = onnxruntime.InferenceSession(tmp_path / "rare.onnx")
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4, rtol=0)


def test_what_is_kept_of_a_side_does_not_hang_on_the_order_of_equals() -> None:
    """Of a stride through an order, one swap of neighbours brings another place in."""
    made = torch.Generator().manual_seed(0)
    values = torch.rand(FINE * FINE, generator=made)
    rows = torch.rand(FINE * FINE, 9, generator=made)
    order = values.argsort(descending=True)
    swapped = values.clone()
    swapped[order[:-1:2]], swapped[order[1::2]] = values[order[1::2]], values[order[:-1:2]]
    for count in (3, 17, 1200):  # even ones would not cut between two that are swapped
        even = torch.tensor(count + count % 2)
        one, other = (chosen_side(rows, first_of(of, even), FEW) for of in (values, swapped))
        assert torch.equal(one.places, other.places)
        assert torch.equal(one.mean, other.mean)
        kept = {tuple(row) for row in one.places[one.weight > 0].tolist()}
        assert len(kept) == max(BEST, min(int(even), FEW) // BEST * BEST) or int(even) < BEST
        assert kept <= {tuple(row) for row in rows[order[: int(even)]].tolist()}
        assert abs(float(one.weight.sum()) - 1) < 1e-5


@pytest.mark.slow
def test_two_examples_and_two_classes_are_answered_as_by_the_prompter() -> None:
    examples = []
    for seed in (0, 2):
        image, mask = scene((180, 240), seed)
        labels = (np.asarray(mask) > 0).astype(np.uint8)
        labels[:40] = 2
        picture = np.asarray(image).copy()
        picture[:40] = (60, 90, 200)
        examples.append((picture, labels))
    classes = {"disc": 1, "sky": 2}
    prompter = vicl.VisualPrompter(
        "matching", examples, "segmentation", classes=classes, device="cpu"
    )
    graph, _ = exporting._graph(prompter)
    assert isinstance(graph, MatchingGraph)
    query = np.asarray(scene((150, 220), 1)[0]).copy()
    query[:30] = (60, 90, 200)
    with torch.no_grad():
        scores = graph(torch.from_numpy(query.transpose(2, 0, 1)[None] / np.float32(255)))[0]
    found = np.where(scores.amax(0) > 0.5, scores.argmax(0) + 1, 0)
    wanted = prompter.predict(query).mask
    for number in (1, 2):
        assert iou(found == number, wanted == number) > 0.95
