"""Recipes: what is accepted, and what an error says of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vicl.models.mae_vqgan import PUBLISHED
from vicl.models.registry import kinds
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.files import check_recipe, load_recipe, read_text, shipped_recipes
from vicl.training.recipe.models import section
from vicl.training.recipe.recipe import Recipe
from vicl.training.settings import BatchSize

GOOD = """\
name: good
data:
  train: figures/train
model:
  kind: mae
  canvas_size: [64, 64]
  depth: 2
masking:
  - kind: patches
  - {kind: answer, weight: 2}
batch: {size: 64, micro: 16}
optimiser:
  lr: 1e-4
schedule: {epochs: 3}
"""


def write(folder: Path, text: str = GOOD, *, old: str = "", new: str = "") -> Path:
    assert old in text
    path = folder / "r.yaml"
    path.write_text(text.replace(old, new, 1) if old else text)
    return path


def complaint(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith((str(path), "--set"))
    return message.removeprefix(f"{path}: ")


def test_what_is_written_is_what_comes_out(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path))
    assert recipe.name == "good"
    assert recipe.model.kind == "mae"
    assert recipe.model.canvas_size == (64, 64)
    assert recipe.model.patch_size == 16
    assert [masking.weight for masking in recipe.masking] == [1, 2]
    assert recipe.data.train[0].kind == "folder"
    assert recipe.data.train[0].path == "figures/train"
    assert recipe.batch.rounds(2) == (16, 2)
    assert recipe.optimiser.lr == 1e-4
    assert recipe.optimiser.betas == (0.9, 0.95)
    assert recipe.schedule.warmup == 0.015


def test_a_dumped_recipe_reads_as_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path), ["optimiser.lr=3.3e-7", "ema=0.999"])
    dumped = yaml.safe_dump(recipe.model_dump(mode="json"))
    assert load_recipe(write(tmp_path, dumped)) == recipe


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("figures", "folder"),
        ("a.tar", "shards"),
        ("https://example.org/a-{00..31}.tar?key=1", "shards"),
        ("{kind: dataset, name: mine}", "dataset"),
        ("{kind: photos}", "photos"),
    ],
)
def test_short_forms_of_sources(tmp_path: Path, text: str, kind: str) -> None:
    quoted = text if text.startswith("{kind") else f"'{text}'"
    recipe = load_recipe(write(tmp_path, old="figures/train", new=quoted))
    assert [source.kind for source in recipe.data.train] == [kind]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("lr: 1e-4", "lr: -1", "line 13: optimiser.lr: got -1, expected more than 0"),
        ("lr: 1e-4", "lr: .inf", "line 13: optimiser.lr: got inf, expected a finite number"),
        ("lr: 1e-4", "lr: .nan", "line 13: optimiser.lr: got nan, expected a finite number"),
        ("lr: 1e-4", "lr: yes", "line 13: optimiser.lr: got True, expected a number"),
        ("lr: 1e-4", "lrr: 1", "line 13: optimiser.lrr: there is no such key (did you mean lr?)"),
        ("lr: 1e-4", "betas: [0.9, 1]", "line 13: optimiser.betas.1: got 1, expected less than 1"),
        ("kind: mae", "kind: mea", "line 5: model.kind: got 'mea', expected one of mae-vqgan, mae"),
        ("kind: mae", "kind: mea", "(did you mean mae?)"),
        ("  kind: mae\n", "", "model.kind: is missing; expected one of mae-vqgan, mae, beit"),
        ("depth: 2", "depth: two", "line 7: model.depth: got 'two', expected a whole number"),
        (
            "depth: 2",
            "depth: 10000",
            "line 7: model.depth: got 10000, expected at most 256",
        ),
        ("depth: 2", "mlp_ratio: .inf", "line 7: model.mlp_ratio: got inf"),
        ("[64, 64]", "[64, 70]", "line 6: model.canvas_size: got (64, 70), expected multiples"),
        ("- kind: patches", "- {kind: patches, ratio: 2}", "line 9: masking.0.ratio: got 2,"),
        ("weight: 2", "weight: 0", "line 10: masking.1.weight: got 0, expected more than 0"),
        ("size: 64", "size: 60", "line 11: batch.micro: got 16, expected a divisor of size = 60"),
        ("{epochs: 3}", "{}", "line 14: schedule: got neither of steps and epochs"),
        ("{epochs: 3}", "{epochs: 3, steps: 3}", "line 14: schedule: got both of steps and"),
        ("{epochs: 3}", "[3]", "line 14: schedule: got [3], expected a section of keys"),
        ("figures/train", "[]", "line 3: data.train: "),
        ("figures/train", "3", "line 3: data.train: got 3, expected a section of keys"),
        ("figures/train", "[a, {path: 1}]", "line 3: data.train.1.kind: is missing; expected one"),
        ("figures/train", "{kind: folder}", "line 3: data.train.path: is missing"),
        ("figures/train", "[a, {kind: folder}]", "line 3: data.train.1.path: is missing"),
        ("figures/train", "'pipe:cat a.tar'", "line 3: data.train.urls: got 'pipe:cat a.tar', exp"),
        ("name: good\n", "", "name: is missing"),
        ("name: good", "name: ../up", "line 1: name: got '../up', "),
        ("name: good", "name: good\nname: bad", "line 2: name stands there again"),
        ("name: good", "name: good\n12: 3", "got 12 as a key, expected a word"),
        ("masking:", "vqgan: {}\nmasking:", "line 5: model.kind: got mae, which needs"),
    ],
)
def test_errors_name_line_key_value_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert expected in complaint(write(tmp_path, old=old, new=new))


@pytest.mark.parametrize(
    ("held_out", "expected"),
    [
        ("{fraction: 0.1, sources: a}", "held_out.sources: give a fraction or sources, not both"),
        ("{group: x}", "held_out.group: says how a fraction is chosen"),
        ("{fraction: 0.1, group: '('}", "held_out.group: got '(', expected a regular expression"),
        ("{fraction: 1}", "held_out.fraction: got 1, expected less than 1"),
        ("{count: 0}", "held_out.count: got 0"),
    ],
)
def test_held_out_that_cannot_be(tmp_path: Path, held_out: str, expected: str) -> None:
    new = f"train: a\n  held_out: {held_out}"
    assert f"line 4: data.{expected}" in complaint(
        write(tmp_path, old="train: figures/train", new=new)
    )


def test_a_share_of_a_stream_cannot_be_held_out(tmp_path: Path) -> None:
    path = write(tmp_path, old="figures/train", new="a.tar\n  held_out: {fraction: 0.1}")
    assert "line 4: data.held_out.fraction: got 0.1 without a folder" in complaint(path)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    message = complaint(write(tmp_path), "seed=-1", "batch.size=0", "precision=half")
    assert message == (
        "--set: seed: got -1, expected at least 0; "
        "--set: batch.size: got 0, expected more than 0; "
        "--set: precision: got 'half', expected 'fp32', 'bf16' or 'fp16'"
    )


def test_many_faults_are_not_all_printed(tmp_path: Path) -> None:
    extra = "".join(f"key{i}: 1\n" for i in range(50))
    message = complaint(write(tmp_path, GOOD + extra))
    assert message.endswith("and 30 more")


def test_overrides(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(tmp_path),
        [
            "masking.1={kind: blocks, ratio: 0.3}",
            "masking.0.weight=4",
            "data.held_out.sources=figures/val",
            "optimiser.clip=1",
            "optimiser.lr=2e-4",
            "optimiser.lr=3e-4",
            "model.canvas_size=[32, 48]",
            "data.workers=0",
        ],
    )
    assert [(m.kind, m.weight) for m in recipe.masking] == [("patches", 4), ("blocks", 1)]
    assert recipe.data.held_out.sources[0].path == "figures/val"
    assert (recipe.optimiser.clip, recipe.optimiser.lr) == (1, 3e-4)
    assert recipe.model.canvas_size == (32, 48)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "got 'seed', expected KEY=VALUE"),
        ("=3", "got '=3', expected KEY=VALUE"),
        ("a..b=3", "got 'a..b=3', expected KEY=VALUE"),
        ("masking.2.ratio=0.5", "masking.2.ratio: there is no '2' to set, but a list of 2"),
        ("masking.-1.ratio=0.5", "there is no '-1' to set"),
        ("name.x=3", "name.x: there is no 'x' to set, but the value 'good'"),
        ("seed=[", "seed: its value is not plain YAML"),
        ("optimizer.lr=1", "optimizer: there is no such key (did you mean optimiser?)"),
        ("seed=1.5", "--set: seed: got 1.5, expected a whole number"),
        ("batch={size: true}", "--set: batch.size: got True, expected a number"),
    ],
)
def test_wrong_overrides(tmp_path: Path, override: str, expected: str) -> None:
    assert expected in complaint(write(tmp_path), override)


def test_an_empty_section_can_be_filled_by_an_override(tmp_path: Path) -> None:
    path = write(tmp_path, old="optimiser:\n  lr: 1e-4", new="optimiser:")
    assert load_recipe(path, ["optimiser.lr=1"]).optimiser.lr == 1


def test_names_that_are_neither(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"smokee: is neither.*did you mean smoke\?.*vqgan-tiny"):
        load_recipe("smokee")
    with pytest.raises(RecipeError, match="is a folder"):
        load_recipe(tmp_path)


def test_a_folder_with_the_name_of_a_recipe_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("smoke").mkdir()
    assert load_recipe("smoke").name == "smoke"


def test_a_vqgan_takes_crops_of_whole_codes() -> None:
    vqgan: Any = section(kinds()["vqgan"])
    assert vqgan(kind="vqgan", crop_size=64).patch_size == 16
    data: dict[str, Any] = {
        "name": "v",
        "data": {"train": ["a"]},
        "model": {"kind": "vqgan", "crop_size": 40},
        "vqgan": {},
        "batch": {"size": 1},
        "schedule": {"steps": 1},
    }
    with pytest.raises(RecipeError, match=r"^x: model.crop_size: got 40, expected a multiple of 1"):
        check_recipe(data, "x")
    data["model"]["crop_size"] = 48
    assert isinstance(check_recipe(data, "x"), Recipe)


def test_a_batch_is_shared_out() -> None:
    assert BatchSize(size=8).rounds(1) == (8, 1)
    assert BatchSize(size=8).rounds(4) == (2, 1)
    assert BatchSize(size=8, micro=2).rounds(2) == (2, 2)
    with pytest.raises(ValueError, match="multiple of micro times processes"):
        BatchSize(size=8, micro=4).rounds(3)
    with pytest.raises(ValueError, match="multiple of micro times processes"):
        BatchSize(size=2).rounds(3)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_says_how_to_use_it(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert 20 < len(recipe.description) < 400
    text = read_text(name)
    header = text[: text.index("\nname: ")].splitlines()
    assert header[0].startswith(f"# vicl train {name}")
    for field in ("What for:", "Hardware:", "Time:", "Data:"):
        assert sum(line.startswith(f"# {field}") for line in header) == 1
    assert max(map(len, text.splitlines())) <= 100


def test_the_recipes_that_the_documentation_promises_are_shipped() -> None:
    assert set(shipped_recipes()) >= {
        *(f"mae-vqgan-{size}-figures" for size in ("small", "base", "large")),
        *("vqgan-figures", "mae-large-figures", "beit-large-figures", "unet-figures"),
        *("autoregressive-large-figures", "mae-vqgan-large-figures-imagenet"),
        *("mae-vqgan-small-gpu", "vqgan-small-gpu", "mae-vqgan-tiny-cpu", "vqgan-tiny-cpu"),
        "smoke",
    }


def test_the_papers_setting_is_as_published() -> None:
    recipe = load_recipe("mae-vqgan-large-figures")
    model = recipe.model.model_dump(exclude={"kind", "tokenizer", "asking"})
    assert model == PUBLISHED["large"].model_dump(exclude={"tokenizer"})
    assert recipe.batch.rounds(8) == (64, 1)
    assert (recipe.optimiser.lr, recipe.optimiser.scale_lr) == (1e-4, True)
    assert (recipe.optimiser.betas, recipe.optimiser.weight_decay) == ((0.9, 0.95), 0.05)
    assert recipe.schedule.epochs == 1000
    assert recipe.schedule.warmup * recipe.schedule.epochs == 15
    assert [(m.kind, m.ratio) for m in recipe.masking] == [("patches", 0.75)]
    assert (recipe.data.augmentation.scale, recipe.data.augmentation.flip) == ((0.2, 1.0), True)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["vqgan.quantise_after=4500"], "expected fewer than"),
        (["schedule.steps=null", "schedule.epochs=2"], "which has to be given"),
        (["ema=0.99"], "ema: would average codes"),
    ],
)
def test_codes_are_placed_within_the_run(changes: list[str], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        load_recipe("vqgan-default-cpu", changes)
