"""Training the head: scenes, the bank, episodes, a few steps by a recipe, and what comes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from tests.training.labelled import draw_labelled

import vicl
from vicl.cli import main
from vicl.encoders.borrowed import Borrowed
from vicl.models.matching import Matching
from vicl.models.matching.cues import Marks
from vicl.training.matching.bank import Row, open_bank
from vicl.training.matching.banks import check_levels
from vicl.training.matching.episodes import Chooser, Episodes, scribbled
from vicl.training.matching.mosaics import compose_mosaic
from vicl.training.matching.objective import mask_loss, outline_loss, presence_loss
from vicl.training.matching.outlines import outlines_of
from vicl.training.matching.scenes import CutOuts, compose_group
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.files import load_any, load_recipe, shipped_heads
from vicl.training.recipe.head import Composed, HeadData, HeadRecipe, OutlineRecipe, Photographs
from vicl.training.recipe.promptable import PromptableRecipe


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return draw_labelled(tmp_path)


def recipe_of(data: Path, **changes: object) -> dict[str, object]:
    return {
        "name": "tiny",
        "trains": "matching-head",
        "data": {
            "photographs": [
                {"path": str(data), "versions": 1, "held_out": 0.35, "unions": 0.3},
            ],
            "composed": {"folders": [str(data / "cut")], "groups": 2, "scenes": 2, "held_out": 1},
        },
        "head": {"widths": [8, 8], "fine": 8, "finest": 8},
        "batch": {"size": 2},
        "workers": 0,
        "looks": 3,
        "schedule": {"steps": 3},
        "evaluation": {"every": 3},
        "checkpoints": {"every": 2},
        **changes,
    }


def test_scenes_show_what_their_labels_say(data: Path) -> None:
    things = CutOuts.of([data / "cut"])
    assert [len(files) for files in things.files] == [1, 1, 1]
    ground = np.full((50, 60, 3), 128, np.uint8)
    first, again = (
        compose_group(np.random.default_rng(3), things, [ground, ground], 96) for _ in range(2)
    )
    for scene, same in zip(first, again, strict=True):
        assert np.array_equal(scene.picture, same.picture)
        assert set(np.unique(scene.labels)) <= {0, *scene.classes.values()}
        assert ((scene.labels > 0) <= (scene.objects > 0)).all()


def test_scribbles_lie_within_their_sides() -> None:
    inside = torch.zeros(96, 96)
    inside[20:60, 30:70] = 1
    found = scribbled(np.random.default_rng(0), Marks(inside, 1 - inside))
    assert 0 < int(found.inside.sum()) < 0.1 * inside.sum()
    assert bool((found.inside <= inside).all())
    assert bool((found.outside <= 1 - inside).all())


def test_the_loss_heeds_what_is_known_alone() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[:, 2:5, 2:5] = 1
    right = 20 * (2 * truth - 1)
    unknown = truth.clone()
    unknown[:, 6:] = -1
    wrong = right.clone()
    wrong[:, 6:] = 20
    assert float(mask_loss(right, truth, torch.ones(1))) < 1e-3
    assert float(mask_loss(wrong, unknown, torch.ones(1))) < 1e-3
    assert float(mask_loss(wrong, truth, torch.ones(1))) > 1


def test_to_miss_what_is_there_costs_more_than_an_invention() -> None:
    scores = torch.tensor([-2.0, 2.0, 2.0, 2.0])
    there, told = torch.tensor([1.0, 0, 0, 0]), torch.tensor([1.0, 1, 1, 0])
    missed = float(presence_loss(scores[:1], there[:1], told[:1]))
    invented = float(presence_loss(scores[1:], there[1:], told[1:]))
    assert missed == pytest.approx(2.5 * invented)
    assert float(presence_loss(scores, there, told)) == pytest.approx(missed + invented)
    assert float(presence_loss(scores, there, torch.zeros(4))) == 0


def test_what_is_absent_is_absent_whatever_its_name_means_elsewhere(data: Path) -> None:
    rows = [
        Row(source, f"{source} {group} {number}", group, {"thing": 1}, {"thing": 0.1})
        for source, group in ((0, ""), (1, "scenes 0"), (1, "scenes 1"))
        for number in range(3)
    ]
    composed = Composed(folders=("cut",))
    one = Photographs(path=str(data))
    wanted = HeadData(photographs=(one,), composed=composed, absent=1, elsewhere=1)
    chooser = Chooser(tuple(rows), wanted)
    for number in range(40):
        drawn = chooser.choose(np.random.default_rng(number))
        first, query = rows[drawn.examples[0]], rows[drawn.query]
        assert not drawn.there
        assert (first.source, first.group) != (query.source, query.group)
        # Scenes stand on photographs, so that what these show may be seen in them.
        assert first.source == 1


@pytest.mark.slow
def test_a_head_trains_goes_on_and_answers(data: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(recipe_of(data)))
    result = CliRunner().invoke(main, ["train", str(file), "-o", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    rows = open_bank(run / "bank" / "training").rows
    held = {row.origin for row in open_bank(run / "bank" / "held-out").rows if row.source == 0}
    assert held
    assert not held & {row.origin for row in rows}
    episodes = Episodes(run / "bank" / "training", load_any(file).data, 0)  # type: ignore[arg-type]
    for first, again in zip(episodes[5], episodes[5], strict=True):
        assert torch.equal(first, again)
    recipe = load_any(file)
    assert isinstance(recipe, HeadRecipe)
    # Scenes of another group name their things alike, and show others.
    alone = tuple(one.model_copy(update={"unions": 0}) for one in recipe.data.photographs)
    changes = {"absent": 1.0, "elsewhere": 0.5, "photographs": alone}
    none = recipe.data.model_copy(update=changes)
    for number in range(12):
        truth = Episodes(run / "bank" / "training", none, 0)[number][4]
        assert float(truth.max()) <= 0
    engine = vicl.load_model(run / "model", device="cpu")
    assert isinstance(engine, Matching)
    mask = np.asarray(Image.open(data / "m0.png")) == 1
    answer = vicl.predict(
        data / "1.png", [(data / "0.png", mask)], "segmentation", model=engine, min_presence=0
    )
    assert answer.mask is not None
    refused = CliRunner().invoke(main, ["train", str(file), "-o", str(run)])
    assert "go on with it by --resume" in refused.output


@pytest.mark.slow
def test_a_head_is_of_the_encoder_that_its_recipe_names(data: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "tiny.yaml", tmp_path / "run"
    head = {"widths": [8, 8], "fine": 8, "finest": 8, "encoder": "efficientnet-lite2+handmade"}
    file.write_text(yaml.safe_dump(recipe_of(data, head=head)))
    result = CliRunner().invoke(main, ["train", str(file), "-o", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    bank = open_bank(run / "bank" / "training")
    assert [level.shape[1:] for level in bank.levels][1:3] == [(48, 48, 48), (31, 24, 24)]
    engine = vicl.load_model(run / "model", device="cpu")
    assert isinstance(engine, Matching)
    assert engine.encoder.name == "efficientnet-lite2+handmade"
    assert isinstance(engine.encoder.encoder, Borrowed)
    card = (run / "model" / "README.md").read_text()
    assert "- Encoder: efficientnet-lite2+handmade, frozen" in card


@pytest.mark.parametrize(
    ("recipe", "said", "message"),
    [
        ("matching-head", "head.encoder=handmade", r"head.encoder: handmade has .*lite2\+handmade"),
        ("matching-head", "head.encoder=none", "head.encoder: encoder: got 'none'"),
        ("matching-head", "head.encoder=", "head.encoder: "),
        ("matching-head", "head.details=9", "head.details: got 9, expected 24, as .*lite2 have"),
        ("matching-head", "encoder=handmade", "encoder: there is no such key.*schedule.*head"),
        ("outline-head", "head.channels=[24,48]", "got 24, 48, expected 24, 48, 88, 120, 208"),
        ("outline-head", "head.channels=[24]", "got 24, expected 24, 48, 88, 120, 208"),
        ("outline-head", "head.encoder=efficientnet-lite0", "expected 24, 40, 80, 112, 192"),
        ("promptable", "net.encoder=handmade", "net.encoder: handmade has levels of 1, 4 pixels"),
        ("promptable", "net.channels=[1,2,3,4,5]", "net.channels: got 1, 2, 3, 4, 5, expected 24"),
    ],
)
def test_a_network_that_cannot_read_its_encoder_is_refused_at_once(
    recipe: str, said: str, message: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = CliRunner().invoke(main, ["train", recipe, "--set", said, "-o", str(run)])
    assert result.exit_code == 2, result.output
    assert re.search(message, " ".join(result.output.split()))
    assert not run.exists()


def test_lines_are_learned_over_the_encoder_of_the_head_for_masks(tmp_path: Path) -> None:
    said = ["head.encoder=efficientnet-lite2+handmade", "head.channels=[24,48,31,99,99]"]
    named = [part for one in said for part in ("--set", one)]
    result = CliRunner().invoke(main, ["train", "outline-head", *named, "-o", str(tmp_path / "r")])
    assert result.exit_code == 2
    assert "expected 'efficientnet-lite2': the head for lines" in " ".join(result.output.split())


def test_networks_of_the_recipes_read_their_encoders() -> None:
    for name in ("matching-head", "outline-head", "promptable"):
        recipe = load_any(name)
        if isinstance(recipe, PromptableRecipe):
            check_levels("net.channels", recipe.net.encoder, recipe.net.channels)
        elif isinstance(recipe, OutlineRecipe):
            check_levels("head.channels", recipe.head.encoder, recipe.head.channels)
        else:
            assert isinstance(recipe, HeadRecipe)
            check_levels("head.details", recipe.head.encoder, [recipe.head.details], first=True)
    check_levels("head.details", "efficientnet-lite2+handmade", [24], first=True)


def outline_recipe_of(data: Path) -> dict[str, object]:
    photographs = {"path": str(data), "versions": 0, "held_out": 0.35}
    composed = {"folders": [str(data / "cut")], "groups": 1, "scenes": 2, "held_out": 1}
    head = {"mixed": 4, "finest": 4}
    mosaics = {"count": 2, "held_out": 1}
    wanted = {"photographs": [photographs], "composed": composed, "mosaics": mosaics}
    return {**recipe_of(data), "trains": "outline-head", "head": head, "data": wanted}


@pytest.mark.slow
def test_an_outline_head_trains_and_answers_lines(data: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(outline_recipe_of(data)))
    result = CliRunner().invoke(main, ["train", str(file), "-o", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    bank = open_bank(run / "bank" / "training")
    assert [row.origin for row in bank.rows[-2:]] == ["mosaic 0", "mosaic 1"]
    assert bank.objects[-1].min() > 0
    engine = vicl.load_model(run / "model", device="cpu")
    assert isinstance(engine, Matching)
    assert engine.outlines is not None
    assert engine.outlines.config.mixed == 4


def test_outlines_are_known_where_a_border_would_have_been_drawn() -> None:
    objects = np.zeros((40, 40), np.uint16)
    objects[10:20, 10:20], objects[10:20, 20:26] = 1, 2
    labels = np.zeros((40, 40), np.uint8)
    labels[15, 22] = 255
    found = outlines_of(objects, labels)
    assert found[12, 9:11].tolist() == [1, 1]
    assert found[12, 19:21].tolist() == [1, 1]
    assert found[14, 14] == found[12, 6] == 0
    assert found[35, 35] == found[15, 22] == -1
    truth = torch.from_numpy(found)[None]
    scores = torch.where(truth == 1, 20.0, -20.0)
    scores[truth < 0] = 20
    assert float(outline_loss(scores, truth)) < 1e-3
    assert float(outline_loss(-scores, truth)) > 10


def test_a_mosaic_is_the_same_within_its_regions(data: Path) -> None:
    grounds = [np.asarray(Image.open(data / f"{number}.png")) for number in range(3)]
    first, again = (compose_mosaic(np.random.default_rng(5), grounds, 96) for _ in range(2))
    assert np.array_equal(first.picture, again.picture)
    assert first.objects.min() == 1
    assert 2 <= first.objects.max() <= 8


def test_recipes_of_heads_are_told_from_others(data: Path, tmp_path: Path) -> None:
    assert shipped_heads() == ["matching-head", "outline-head", "promptable"]
    assert isinstance(load_any("outline-head"), OutlineRecipe)
    assert isinstance(load_any("matching-head"), HeadRecipe)
    assert load_any("smoke") == load_recipe("smoke")
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(recipe_of(data, stepz=3)))
    with pytest.raises(RecipeError, match="stepz"):
        load_any(file)
    for said in ("outlines", ["matching-head"]):
        file.write_text(yaml.safe_dump(recipe_of(data, trains=said)))
        with pytest.raises(RecipeError, match=r"trains: got .*matching-head, outline-head, prompt"):
            load_any(file)
    with pytest.raises(RecipeError, match="schedule: got epochs"):
        load_any("matching-head", ["schedule={epochs: 2}"])
    named = load_any("matching-head", ["data.photographs.1.path=cells", "data.leave_out=[l.jsonl]"])
    assert isinstance(named, HeadRecipe)
    assert named.data.photographs[1].path == "cells"
