"""Training promptable segmentation: what is asked, what follows, the losses, and a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from tests.training.labelled import draw_labelled

import vicl
from vicl.cli import main
from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.network import Odds, PromptableConfig, PromptableNet
from vicl.training.matching.bank import open_bank
from vicl.training.promptable import scores
from vicl.training.promptable.objective import corrected, losses_of, next_clicks, shortened
from vicl.training.promptable.prompts import (
    MOST_POINTS,
    Asked,
    click,
    coarse_mask,
    first_prompt,
    jittered_box,
    scribble,
)
from vicl.training.promptable.scores import fit_scores
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.files import load_any
from vicl.training.recipe.promptable import PromptableData, PromptableRecipe

SIDE = 192


def thing() -> np.ndarray:
    inside = np.zeros((SIDE, SIDE), bool)
    inside[40:100, 60:150] = True
    return inside


def data_of(**changes: Any) -> PromptableData:
    return PromptableData.model_validate({"photographs": [{"path": "x"}], **changes})


def at(points: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of points in shares of the picture."""
    places = (np.asarray(points) * SIDE).astype(int)
    return places[:, 1], places[:, 0]


def test_a_click_is_on_the_thing() -> None:
    for number in range(20):
        x, y = click(np.random.default_rng(number), thing())
        assert thing()[int(y), int(x)]


def test_a_box_is_nearly_the_things() -> None:
    boxes = np.stack([jittered_box(np.random.default_rng(n), thing()) for n in range(50)]) * SIDE
    assert np.abs(boxes - [60, 40, 150, 100]).max() <= 0.15 * 90
    assert np.abs(boxes.mean(0) - [60, 40, 150, 100]).max() < 3
    assert (boxes.std(0) > 1).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_scribbles_and_coarse_masks_are_about_the_thing() -> None:
    for number in range(20):
        rng = np.random.default_rng(number)
        drawn = scribble(rng, thing())
        assert drawn.any()
        assert (drawn <= thing()).all()
        coarse = coarse_mask(rng, thing())
        assert (coarse & thing()).sum() / (coarse | thing()).sum() > 0.5


def test_first_prompts_say_what_is_meant() -> None:
    inside, known = thing(), np.ones((SIDE, SIDE), bool)
    ways = set()
    for number in range(80):
        guide = first_prompt(np.random.default_rng(number), inside, known, data_of())
        assert guide.labels.shape == (MOST_POINTS,)
        for label in (0, 1):
            told = guide.labels == label
            assert (inside[at(guide.points[told])] == bool(label)).all()
        boxed, masked = bool(guide.box[0] >= 0), bool(guide.earlier[0, 0] >= 0)
        assert boxed or masked or bool((guide.labels == 1).any())
        ways.add("box" if boxed else "mask" if masked else int((guide.labels >= 0).sum()) > 1)
    assert ways == {"box", "mask", True, False}


def test_the_next_click_is_in_the_largest_error() -> None:
    truth = torch.from_numpy(thing()).float()[None].repeat(4, 1, 1)
    masks = torch.full((4, SIDE, SIDE), -5.0)
    masks[1] = 10 * truth[1] - 5  # all right
    masks[2, 40:100, 60:100] = 5  # the right half is missing
    masks[3] = masks[1]
    masks[3, 120:180, 20:100] = 5  # too much
    truth[0, 40:100, 60:150] = -1  # nobody knows
    points, labels = next_clicks(np.random.default_rng(0), masks, truth)
    assert labels.tolist() == [-1, -1, 1, 0]
    x, y = (points[2] * SIDE).tolist()
    assert 110 < x < 140
    assert 55 < y < 85
    x, y = (points[3] * SIDE).tolist()
    assert 40 < x < 80
    assert 135 < y < 165


def test_a_corrected_prompt_has_one_point_more() -> None:
    truth = torch.from_numpy(thing()).float()[None]
    found = Odds(torch.full((1, 3, SIDE, SIDE), -5.0), torch.tensor([[0.1, 0.9, 0.2]]))
    guide = first_prompt(
        np.random.default_rng(0),
        thing(),
        truth[0].numpy() >= 0,
        data_of(boxes=1, scribbles=0, masks=0, with_click=0),
    )
    batch = shortened(Guide(*(part[None] for part in vars(guide).values())))
    assert batch.labels.tolist() == [[-1]]
    after = corrected(np.random.default_rng(0), found, truth, batch)
    assert after.labels.tolist() == [[-1, 1]]
    assert torch.equal(after.box, batch.box)


def test_the_losses_heed_what_is_known_alone() -> None:
    truth = torch.from_numpy(thing()).float()[None]
    right = 40 * truth[:, None] - 20
    masks = torch.cat([right, -right, right.clone()], 1)
    masks[:, 2, 150:] = 20
    unknown = truth.clone()
    unknown[:, 150:] = -1
    each, overlaps = losses_of(Odds(masks, torch.zeros(1, 3)), unknown)
    assert float(each[0, 0]) < 1e-3
    assert float(each[0, 1]) > 5
    assert float(each[0, 2]) < 1e-3
    assert overlaps.tolist() == [[1, 0, 1]]
    each, overlaps = losses_of(Odds(masks, torch.zeros(1, 3)), truth)
    assert float(each[0, 2]) > 1
    assert float(overlaps[0, 2]) == pytest.approx(5400 / (5400 + 42 * SIDE))


def test_scores_are_fitted_to_the_masks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = PromptableNet(PromptableConfig(coarse=8, middle=8, fine=8, finest=8, key=8))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    told = 50 + 20 * torch.randn(400, 8 + 4 * 3)
    overlaps = torch.sigmoid((told[:, :3] - 50) / 10)
    monkeypatch.setattr(scores, "_collected", lambda *_: (told, overlaps))
    left = fit_scores(net, Asked(Path("none"), data_of(), 0), count=400, rounds=1)
    assert left < 0.3 * float(overlaps.var())
    with torch.no_grad():
        found = torch.sigmoid(net.ious(told))
    assert float((found - overlaps).square().mean()) == pytest.approx(left, rel=1e-3)
    after = net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("ious.")}


def recipe_of(folder: Path, **changes: object) -> dict[str, object]:
    return {
        "name": "tiny",
        "trains": "promptable",
        "data": {
            "photographs": [{"path": str(folder), "versions": 1, "held_out": 0.35}],
            "composed": {"folders": [str(folder / "cut")], "groups": 2, "scenes": 2, "held_out": 1},
        },
        "net": {"coarse": 8, "middle": 8, "fine": 8, "finest": 8, "key": 8},
        "batch": {"size": 2},
        "workers": 0,
        "looks": 2,
        "scores": 3,
        "schedule": {"steps": 3},
        "evaluation": {"every": 3, "rows": 1},
        "checkpoints": {"every": 2},
        **changes,
    }


@pytest.mark.slow
def test_a_network_trains_and_answers(tmp_path: Path) -> None:
    data = draw_labelled(tmp_path)
    file, run = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(recipe_of(data)))
    result = CliRunner().invoke(main, ["train", str(file), "-o", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "vicl segment --model" in result.output
    recipe = load_any(file)
    assert isinstance(recipe, PromptableRecipe)
    asked = Asked(run / "bank" / "training", recipe.data, 0)
    for number in range(12):
        for first, again in zip(asked[number], asked[number], strict=True):
            assert torch.equal(first, again)
        truth = asked[number][6]
        assert recipe.data.smallest <= float((truth > 0.5).float().mean()) <= 0.9
    bank = open_bank(run / "bank" / "training")
    assert bank.objects.shape == bank.labels.shape
    # A red square and a blue bar: two objects.
    assert int(bank.objects[0].max()) == 2
    segmenter = vicl.load_segmenter(run / "model", device="cpu")
    assert segmenter.name == "model"
    assert segmenter.encode(data / "0.png").masks([(65, 30)]).masks.shape == (3, 64, 80)
    with Image.open(next((run / "sheets").iterdir())) as sheet:
        assert sheet.size == (5 * SIDE, SIDE)
    refused = CliRunner().invoke(main, ["train", str(file), "-o", str(run), "--dry-run"])
    assert "is not estimated" in refused.output


def test_a_wrong_recipe(tmp_path: Path) -> None:
    assert isinstance(load_any("promptable"), PromptableRecipe)
    for changes, message in (
        ({"schedule": {"epochs": 2}}, "schedule: got epochs"),
        ({"stepz": 3}, "stepz"),
        ({"data": {"photographs": [{"path": "x"}], "objects": 0.9}}, "more than 1"),
        ({"data": {"photographs": [{"path": "x"}], "boxes": 0.9}}, "more than 1"),
    ):
        file = tmp_path / "wrong.yaml"
        file.write_text(yaml.safe_dump(recipe_of(tmp_path, **changes)))
        with pytest.raises(RecipeError, match=message):
            load_any(file)
