"""Our own segmenter, on an untrained network; what the trained one is worth: benchmarks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.pictures import picture

import vicl
from vicl.engine import Candidates, MaskPrompt, Segmenter
from vicl.files import packaged
from vicl.images import to_levels
from vicl.models.matching import OutlineHead
from vicl.models.promptable import PromptableNet
from vicl.models.promptable.asked import guide_of, shrunk_mask, spread_points
from vicl.models.promptable.guidance import Guide
from vicl.segmenters.encoded import EncodedImage
from vicl.segmenters.promptable import Kept, Promptable

SIZE = (60, 90)


@functools.cache
def untrained() -> Promptable:
    torch.manual_seed(0)
    outlines = OutlineHead.from_pretrained(packaged.packaged_model("outlines"))
    encoder = vicl.load_encoder("efficientnet-lite2", device="cpu")
    return Promptable(encoder, PromptableNet(), outlines=outlines)


@functools.cache
def encoded() -> EncodedImage:
    return untrained().encode(picture(*SIZE))


def same(one: Candidates, other: Candidates) -> bool:
    return np.array_equal(one.masks, other.masks) and np.array_equal(one.scores, other.scores)


def test_three_candidates_at_the_images_own_size() -> None:
    assert isinstance(untrained(), Segmenter)
    found = encoded().masks([(40, 30)])
    assert found.masks.shape == (3, *SIZE)
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.stability is not None
    assert ((found.stability >= 0) & (found.stability <= 1)).all()
    assert repr(encoded()) == "EncodedImage(60x90, accepts=points, box, scribbles, mask)"


@pytest.mark.slow
def test_each_prompt_gets_what_it_would_get_alone() -> None:
    scribbles = np.full(SIZE, 255, np.uint8)
    scribbles[10, 5:60], scribbles[50, 5:60] = 1, 0
    disc = np.zeros(SIZE, bool)
    disc[20:40, 20:60] = True
    prompts = [
        MaskPrompt([(40, 30)]),
        MaskPrompt([(40, 30), (3, 3)], [1, 0]),
        MaskPrompt(box=(10, 10, 50, 40)),
        MaskPrompt(scribbles=scribbles),
        MaskPrompt(mask=disc),
    ]
    together = encoded().many(prompts)
    for prompt, found in zip(prompts, together, strict=True):
        assert same(found, encoded().many([prompt])[0])
    for one in range(1, len(prompts)):
        assert not same(together[0], together[one])


def test_sketches_are_the_same_masks_smaller() -> None:
    prompts = [MaskPrompt([(40, 30)]), MaskPrompt(box=(10, 10, 50, 40))]
    for sketch, found in zip(encoded().sketches(prompts), encoded().many(prompts), strict=True):
        assert sketch.masks.shape == (3, 192, 192)
        assert np.array_equal(sketch.scores, found.scores)
        for small, mask in zip(sketch.masks, found.masks, strict=True):
            assert abs(small.mean() - mask.mean()) < 0.1


def test_a_prompt_in_shares_of_its_image() -> None:
    guide = guide_of(MaskPrompt([(45, 30), (9, 6)], [1, 0], box=(0, 15, 45, 60)), SIZE)
    torch.testing.assert_close(guide.points[0], torch.tensor([[0.5, 0.5], [0.1, 0.1]]))
    assert guide.labels.tolist() == [[1, 0]]
    assert guide.box.tolist() == [[0, 0.25, 0.5, 1]]
    assert (guide.earlier == -1).all()
    many = guide_of(MaskPrompt(np.random.default_rng(0).uniform(0, 60, (10_000, 2))), SIZE)
    assert many.labels.shape == (1, 64)
    without = guide_of(MaskPrompt(mask=np.ones(SIZE, bool)), SIZE)
    assert without.labels.tolist() == [[-1]]
    assert (without.box == -1).all()
    assert (without.earlier == 1).all()


def test_points_of_a_scribble_reach_its_ends() -> None:
    where = np.zeros(SIZE, bool)
    where[10, 5:65] = True
    points = spread_points(where, 5)
    assert len(points) == 5
    assert np.diff(np.sort(points[:, 0])).min() > 10
    assert {5.5, 64.5} <= set(points[:, 0].tolist())
    assert (points[:, 1] == 10.5).all()
    assert len(spread_points(where & (np.arange(90) < 7), 5)) == 2
    assert spread_points(np.zeros(SIZE, bool), 5).shape == (0, 2)


def test_a_shrunk_mask_keeps_its_share() -> None:
    mask = np.zeros((500, 300), bool)
    mask[:, :120] = True
    small = shrunk_mask(mask)
    assert small.shape == (96, 96)
    assert float(small.mean()) == pytest.approx(0.4, abs=0.005)


@pytest.mark.slow
def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    untrained().net.save_pretrained(folder)
    loaded: Any = vicl.load_segmenter(folder, device="cpu")
    assert loaded.name == "mine"
    assert repr(loaded) == "Promptable('mine', encoder='efficientnet-lite2')"
    assert len(loaded.weights_hash) == 64
    image = picture(*SIZE)
    assert same(loaded.encode(image).masks([(4, 5)]), untrained().encode(image).masks([(4, 5)]))


def test_without_a_head_for_outlines() -> None:
    """A network over another encoder: its masks are scored as it expects them itself."""
    whole = untrained()
    bare = Promptable(whole.encoder, whole.net)
    assert bare.weights_hash != whole.weights_hash
    image = picture(*SIZE)
    with torch.no_grad():
        own = bare.net(bare._look(to_levels(image)).neck, guide_of(MaskPrompt([(40, 30)]), SIZE))
    found = bare.encode(image).masks([(40, 30)])
    wanted = own.ious[0].sort(descending=True).values
    np.testing.assert_allclose(found.scores, wanted.numpy(), atol=1e-6)
    assert not np.allclose(encoded().masks([(40, 30)]).scores, found.scores, atol=0.02)


def test_a_segmenter_is_no_engine(tmp_path: Path) -> None:
    untrained().net.save_pretrained(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"is a segmenter.*load_segmenter"):
        vicl.load_model(tmp_path / "mine")


def test_a_segmenter_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="segmenter: got 'sam', expected default or a model"):
        vicl.load_segmenter("sam")


@pytest.mark.parametrize("load", [vicl.load_segmenter, lambda: vicl.load_model("matching")])
def test_weights_of_the_package_that_are_missing_are_named(
    load: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="part of the installed vicl is missing; install vicl"):
        load()


def test_a_large_photograph_is_worked_on_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    # More threads than one: what they write to must not belong to another's mode.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    image = picture(*SIZE).repeat(1, 18, 12)
    found = untrained().encode(image).masks([(500, 500)])
    assert found.masks.shape == (3, 1080, 1080)


def test_the_masks_of_a_box_stay_about_it() -> None:
    found = encoded().masks(box=(30, 20, 60, 40))
    outside = np.ones(SIZE, bool)
    outside[16:44, 25:65] = False
    assert not (found.masks & outside).any()
    # Of a click the same network draws there.
    assert (encoded().masks([(45, 30)]).masks & outside).any()


def says(firmly: float) -> Callable[..., Any]:
    """A network that has its own scores, and the same log-odds everywhere."""
    forward = PromptableNet.forward

    def saying(self: PromptableNet, *given: Any) -> Any:
        masks, scores = forward(self, *given)
        return torch.full_like(masks, firmly), scores

    return saying


@pytest.mark.parametrize("firmly", [None, 50.0, -50.0])
def test_what_is_clicked_is_obeyed(firmly: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the network says: as it is, that everything is in, and that nothing is."""
    if firmly is not None:
        monkeypatch.setattr(PromptableNet, "forward", says(firmly))
    points = [(10, 10), (40, 30), (70, 50), (80, 10)]
    for labels in ([1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]):
        for mask in encoded().masks(points, labels).masks:
            assert [bool(mask[y, x]) for x, y in points] == [label == 1 for label in labels]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Sizes of what the segmenter looks at, as it does."""
    sizes: list[tuple[int, ...]] = []
    look = Promptable._look

    def listen(self: Promptable, levels: np.ndarray) -> Any:
        sizes.append(levels.shape[:2])
        return look(self, levels)

    monkeypatch.setattr(Promptable, "_look", listen)
    return sizes


def test_two_looks_are_as_sure_as_both_in_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[torch.Tensor] = []
    outlines: list[torch.Tensor] = []
    asked = Promptable._asked

    def listen(self: Promptable, kept: Kept, guide: Guide) -> Any:
        found = asked(self, kept, guide)
        told.append(found[1])
        outlines.append(kept.outline)
        return found

    monkeypatch.setattr(PromptableNet, "forward", says(-50.0))
    image = untrained().encode(picture(240, 320))
    monkeypatch.setattr(Promptable, "_asked", listen)
    found = image.masks([(80, 60), (20, 20)], [1, 0], box=(60, 40, 120, 100))
    wanted = torch.stack(told).mean(0).sort(descending=True).values
    assert len(told) == 2
    np.testing.assert_allclose(found.scores, wanted.numpy(), atol=1e-6)
    assert not torch.equal(*outlines)  # each by its own


def test_clicks_walk_along_outlines() -> None:
    segmenter = untrained()
    kept = segmenter._look(to_levels(picture(*SIZE)))
    without = kept._replace(outline=torch.zeros_like(kept.outline))
    clicks = guide_of(MaskPrompt([(40, 30), (70, 40)], [1, 0]), SIZE)
    box = guide_of(MaskPrompt(box=(10, 10, 50, 40)), SIZE)
    with torch.no_grad():
        one, other = (segmenter._asked(each, clicks)[0] for each in (kept, without))
        assert float((one - other).abs().max()) > 1
        assert torch.equal(*(segmenter._asked(each, box)[0] for each in (kept, without)))


def test_the_surest_of_a_places_outlines_counts() -> None:
    class OneLine(OutlineHead):
        def forward(self, levels: Any, picture: torch.Tensor) -> torch.Tensor:
            odds = torch.full(picture.shape[:1] + picture.shape[2:], -50.0)
            odds[:, 90] = 50
            return odds

    whole = untrained()
    segmenter = Promptable(whole.encoder, whole.net, outlines=OneLine())
    outline = segmenter._look(to_levels(picture(*SIZE))).outline
    assert outline.shape == (1, 96, 96)
    assert (outline[0, 45] == 1).all()
    assert outline.sum() == 96


def test_the_segmenter_of_the_package_sees_outlines() -> None:
    loaded = vicl.load_segmenter("default", device="cpu")
    assert isinstance(loaded, Promptable)
    assert loaded.outlines is not None


def test_a_box_is_looked_at_more_closely_once(looked: list[tuple[int, ...]]) -> None:
    image = untrained().encode(picture(*SIZE))
    assert looked == [SIZE]
    box = (30, 20, 50, 40)
    first = image.masks(box=box)
    image.masks([(40, 30)], box=box)
    assert looked == [SIZE, (32, 32)]
    image.masks(box=(60, 20, 80, 40))
    assert len(looked) == 3
    assert same(image.masks(box=box), first)
    image.masks(box=(0, 0, 88, 58))  # as good as all of the image
    assert len(looked) == 4
