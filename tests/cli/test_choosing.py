"""`vicl index`, and `vicl predict --pool`: what a person types, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from tests.cli.test_cli import vicl
from tests.selection.encoders import labelled, mask, plain

INDEX = ("index", "pool", "--encoder", "handmade")
PREDICT = ("predict", "--pool", "pool", "--task", "segmentation", "--model", "copy", "--json")


@pytest.fixture(autouse=True)
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    plain(tmp_path / "q/a.png", (250, 30, 30))
    plain(tmp_path / "q/b.png", (30, 30, 250))
    return labelled(tmp_path / "pool")


def shown(result: Result) -> dict[str, list[str]]:
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {Path(r["query"]).stem: [Path(file).stem for file in r["examples"]] for r in rows}


def test_index_encodes_what_is_new() -> None:
    first = vicl(*INDEX)
    assert first.exit_code == 0, first.stderr
    assert first.stderr.endswith("pool.index: 5 images: 5 new\n")
    plain(Path("pool/images/new.png"), (5, 5, 5))
    assert vicl("index", "pool").stderr.endswith("pool.index: 6 images: 5 kept, 1 new\n")


def test_every_query_gets_its_nearest_examples() -> None:
    vicl(*INDEX)
    result = vicl(*PREDICT, "q", "-o", "answers/")
    assert shown(result) == {"a": ["red"], "b": ["blue"]}
    assert "pool.index: 5 images: 5 kept" in result.stderr
    assert Path("answers/a.png").exists()
    again = vicl(*PREDICT, "q", "-o", "answers/", "--skip-existing")
    assert "2 skipped" in again.stderr
    more = vicl(*PREDICT, "q", "--examples", "2", "-o", "answers/", "--skip-existing")
    assert more.exit_code == 2
    assert "answers" in more.stderr


@pytest.mark.slow
def test_at_random_without_an_index() -> None:
    random = (*PREDICT, "q", "--select", "random", "--examples", "2")
    one = shown(vicl(*random))
    assert one == shown(vicl(*random)) == shown(vicl(*random, "--workers", "1"))
    assert all(len(set(names)) == 2 for names in one.values())
    assert not Path("pool.index").exists()


@pytest.mark.slow
def test_only_what_shows_the_class() -> None:
    mask(Path("pool/masks/blue.png"), 2)
    mask(Path("pool/masks/lime.png"), 2)
    vicl(*INDEX, "--index", "kept/here")
    asked = (*PREDICT, "q", "--index", "kept/here", "--classes", "leaf=2")
    assert {name for names in shown(vicl(*asked)).values() for name in names} <= {"blue", "lime"}
    none = vicl(*PREDICT, "q", "--index", "kept/here", "--classes", "leaf=9")
    assert "none of its 5 images shows leaf" in none.stderr


def test_a_pool_of_files_names_its_classes_or_one() -> None:
    line = "{} 0.5 0.5 0.4 0.4\n"
    for number, name in enumerate(("a", "b")):
        plain(Path(f"yolo/images/{name}.png"), (90 * number, 9, 9))
        Path("yolo/labels").mkdir(exist_ok=True)
        Path(f"yolo/labels/{name}.txt").write_text(line.format(number))
    Path("yolo/labels/classes.txt").write_text("cat\ndog\n")
    asked = ("predict", "q/a.png", "--pool", "yolo", "--select", "random", "--task", "detection")
    named = vicl(*asked, "--model", "copy", "--json", "--classes", "dog")
    assert shown(named) == {"a": ["b"]}
    both = vicl(*asked, "--model", "copy", "--count")
    assert "cat" in both.stdout
    assert "dog" in both.stdout
    one = vicl(*asked, "--model", "copy", "--count", "--any-class")
    assert "object" in one.stdout


def test_masks_without_a_task_are_told_of() -> None:
    noise = Image.effect_noise((24, 24), 90).convert("RGB")
    for file in Path("pool/images").iterdir():
        noise.save(file)
    asked = ("predict", "q", "--pool", "pool", "--select", "random", "--model", "copy", "--json")
    assert "looks like a mask: --task segmentation" in vicl(*asked).stderr


def test_annotations_need_a_task() -> None:
    plain(Path("yolo/a.png"), (90, 9, 9))
    Path("yolo/a.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    asked = ("predict", "q", "--pool", "yolo", "--select", "random", "--model", "copy", "--json")
    result = vicl(*asked)
    assert result.exit_code == 2
    assert "give --task segmentation or --task detection" in result.stderr


def test_a_broken_first_mask_ends_nothing() -> None:
    Path("pool/masks/blue.png").write_bytes(b"broken")
    asked = ("predict", "q", "--pool", "pool", "--select", "random", "--model", "copy", "--json")
    assert "answered" in vicl(*asked).stderr
    segmenting = (*asked, "--task", "segmentation", "--classes", "a=255")
    assert vicl(*segmenting).exit_code == 0


@pytest.mark.slow
def test_the_same_examples_for_all() -> None:
    vicl(*INDEX)
    for select in ("diverse", "best-of"):
        result = vicl(*PREDICT, "q", "--select", select, "--examples", "2")
        found = shown(result)
        assert found["a"] == found["b"]
        assert len(found["a"]) == 2
    assert "best of 8 tries: " in result.stderr


@pytest.mark.slow
def test_learning_then_choosing_by_it() -> None:
    vicl(*INDEX)
    learned = (*PREDICT, "q", "--select", "learned")
    assert "nothing was learned on this index yet" in vicl(*learned).stderr
    learning = ("index", "pool", "--learn", "--task", "segmentation", "--model", "copy")
    result = vicl(*learning, "--queries", "3", "--candidates", "2")
    assert result.exit_code == 0, result.stderr
    assert "learned from 3 images with 2 examples each" in result.stderr
    assert set(shown(vicl(*learned))) == {"a", "b"}
    places = vicl(*learning, "--compare", "places")
    assert places.exit_code == 2
    assert "--learn learns from whole images" in places.stderr
    refused = vicl("index", "pool", "--queries", "3")
    assert refused.exit_code == 2
    assert "--queries goes with --learn" in refused.stderr


def test_a_prompt_file_chooses_from_the_pool_beside_it() -> None:
    how = (*PREDICT, "--select", "random", "--examples", "2")
    saved = vicl(*how, "--save-prompt", "p.vicl")
    assert saved.exit_code == 0, saved.stderr
    asked = ("predict", "q", "--prompt", "p.vicl", "--json")
    assert shown(vicl(*asked)) == shown(vicl(*how, "q"))
    Path("other").mkdir()
    Path("p.vicl").rename("other/p.vicl")
    asked = ("predict", "q", "--prompt", "other/p.vicl", "--json")
    gone = vicl(*asked)
    assert gone.exit_code == 2
    assert "other/pool: the pool of its examples is gone" in gone.stderr
    assert shown(vicl(*asked, "--pool", "pool")) == shown(vicl(*how, "q"))
    mask(Path("pool/masks/lime.png"), 9)
    assert "the pool was changed since" in vicl(*asked, "--pool", "pool").stderr


def test_which_images_to_label_next() -> None:
    assert vicl(*INDEX, "--next", "1").stderr.endswith("every image is labelled\n")
    plain(Path("pool/images/new.png"), (5, 5, 5))
    plain(Path("pool/images/old.png"), (250, 25, 20))
    result = vicl(*INDEX, "--next", "1")
    assert result.stdout == "pool/images/new.png\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--example", "a", "b", "--pool", "pool"), "--example does not go with --pool"),
        (("--prompt", "a.vicl", "--select", "random"), "--select does not go with --prompt"),
        (("--expected-score", "--pool", "pool"), "--expected-score does not go with --pool"),
        (("--example", "a", "b", "--select", "random"), "--select goes with --pool"),
        (("--example", "a", "b", "--examples", "2"), "--examples goes with --pool"),
        (("--example", "a", "b", "--any-class"), "--any-class goes with --pool"),
        (("--pool", "pool", "--any-class", "--classes", "a,b"), "name one or none"),
        (("--pool", "pool", "--select", "random", "--index", "x"), "--index does not go with"),
    ],
)
def test_what_does_not_go_together_is_refused(options: tuple[str, ...], message: str) -> None:
    result = vicl("predict", "q", *options, "-o", "answers/")
    assert result.exit_code == 2
    assert message in result.stderr


def test_answers_never_replace_the_pool() -> None:
    result = vicl(*PREDICT, "q", "--select", "random", "-o", "pool/masks/red.png", "--overwrite")
    assert result.exit_code == 2
    before = Path("pool/images/red.png").read_bytes()
    plain(Path("other/red.png"), (1, 1, 1))
    result = vicl(*PREDICT, "other", "--select", "random", "-o", "pool/images/", "--overwrite")
    assert result.exit_code == 2
    assert Path("pool/images/red.png").read_bytes() == before
