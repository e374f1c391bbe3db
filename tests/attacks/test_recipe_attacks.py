"""Recipes from a stranger: nothing runs, nothing fills the memory, everything ends in one error."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vicl.cli import main
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.files import load_recipe

GOOD = """\
name: good
data: {train: images}
model: {kind: mae}
masking: {kind: patches}
batch: {size: 4}
schedule: {steps: 1}
"""
BOMB = "k0: &k0 [x, x]\n" + "".join(f"k{i + 1}: &k{i + 1} [*k{i}, *k{i}]\n" for i in range(60))


def refused(text: str | bytes, folder: Path) -> str:
    path = folder / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert len(message) < 4000
    assert message.isprintable()
    return message


def test_the_good_one_is_good(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GOOD)
    assert load_recipe(tmp_path / "r.yaml").name == "good"


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch ran']",
        "name: !!python/object/new:os.system ['touch ran']",
        "!!python/module:os",
        "name: !!python/name:os.system",
        "name: !mine x",
        BOMB,
        "a: &a [*a]",
        "<<: *x",
        "[" * 20_000,
        "{a: " * 20_000,
        "- " * 20_000,
        "name: [",
        "name: \x00",
        b"name: \xff\xfe",
        b"\xff\xfe" + "name: x".encode("utf-16-le"),
        "",
        "---\n---\n",
        "a: 1\n---\nb: 2\n",
        "null",
        "3",
        "- name: x",
        "? [a, b]\n: 1",
        "? {a: b}\n: 1",
        "a: 1\na: 2",
        "a: !!int x",
        "a: !!float x",
        "a: !!timestamp 2001-99-99",
        "a: 2001-99-99",
        "a: !!binary '%'",
        "#" * (1 << 17),
        "".join(f"k{i}: 1\n" for i in range(6000)),
        "a: " + "9" * 60_000,
        "a: 0x" + "f" * 60_000,
        "a: " + "1:" * 30_000 + "1",
    ],
)
def test_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    monkeypatch.chdir(tmp_path)
    refused(text, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


HUGE = "0x" + "f" * 5000


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", "true", "expected text"),
        ("name", "''", "text of the form"),
        ("name", r'"\0\e[2J"', "text of the form"),
        ("seed", "null", "a whole number"),
        ("seed", "true", "a number"),
        ("seed", "-1", "at least 0"),
        ("seed", "!!binary aGFsbG8=", "a whole number"),
        ("data", "[]", "a section of keys"),
        ("data", "{}", "is missing"),
        ("data.train", "[]", "at least 1 entries"),
        ("data.train", "[[[]]]", "a section of keys"),
        ("data.train", "!!set {a, b}", "a section of keys"),
        ("data.workers", ".inf", "a finite number"),
        ("data.workers", HUGE, "more than 64 bits"),
        ("data.held_out", "null", "a section of keys"),
        ("model", "{}", "one of mae-vqgan, mae"),
        ("model.kind", "''", "one of mae-vqgan, mae"),
        ("model.kind", "!!omap [a: 1]", "one of mae-vqgan, mae"),
        ("model.depth", ".nan", "a finite number"),
        ("model.depth", "10000000000000000000", "more than 64 bits"),
        ("model.embed_dim", "0", "more than 0"),
        ("model.embed_dim", "1", "a multiple of 4 and of its 16 heads"),
        ("model.canvas_size", "{}", "expected a list"),
        ("model.canvas_size", "[]", "is missing"),
        ("model.mlp_ratio", ".inf", "a finite number"),
        ("model.mlp_ratio", "1e999999999", "a finite number"),
        ("masking", "null", "a section of keys"),
        ("masking.kind", "2001-01-01", "one of patches, rectangles"),
        ("masking.ratio", "-1", "more than 0"),
        ("masking.ratio", "1e400", "a finite number"),
        ("masking.weight", ".nan", "a finite number"),
        ("batch", "{}", "is missing"),
        ("batch.size", "0", "more than 0"),
        ("batch.size", "1e30", "a whole number"),
        ("optimiser.lr", "0", "more than 0"),
        ("optimiser.lr", "2001-01-01", "expected a number"),
        ("optimiser.betas", r"'\0'", "expected a list"),
        ("schedule", "{}", "expected one of them"),
        ("schedule.steps", ".inf", "a finite number"),
        ("ema", "true", "less than 1"),
        ("ema", "-1", "more than 0"),
        ("log.trackers", "[[[]]]", "expected text"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, key: str, value: str, expected: str) -> None:
    """The message names the key and what would be right."""
    (tmp_path / "r.yaml").write_text(GOOD)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml", [f"{key}={value}"])
    message = str(caught.value)
    said = message.partition("--set")[2]  # behind the path, which has the test's name in it
    assert key in said
    assert expected in said
    assert message.isprintable()
    assert len(message) < 4000


@pytest.mark.parametrize(
    "change",
    [
        "model.depth=1000000000",
        "model.embed_dim=1000000000",
        "model.canvas_size=[1000000000, 1000000000]",
        "batch.size=100000000000",
        "data.workers=100000",
        "data.prefetch=100000",
        "evaluation.rows=100000",
        "schedule.steps=1e30",
        "data.train='pipe:touch ran'",
        "data.train={kind: shards, urls: 'pipe:touch ran'}",
        "data.train={kind: shards, urls: 'PIPE:touch ran; a.tar'}",
        "data.train={kind: shards, urls: 'file:///etc/passwd'}",
        "data.train={kind: shards, urls: 's3:bucket/a.tar'}",
        "name=../../etc",
        "name=/etc/x",
        "name='a/b'",
        "name='..'",
    ],
)
def test_values_that_would_do_harm(tmp_path: Path, change: str) -> None:
    (tmp_path / "r.yaml").write_text(GOOD)
    if change == "data.train='pipe:touch ran'":  # a folder of that name, and nothing else
        assert load_recipe(tmp_path / "r.yaml", [change]).data.train[0].kind == "folder"
        return
    with pytest.raises(RecipeError, match=change.partition("=")[0].replace(".", r"\.")):
        load_recipe(tmp_path / "r.yaml", [change])


@pytest.mark.parametrize("path", ["\0", "a\0b", "x" * 5000, "/dev/zero", "..", "\x1b[2J", "-"])
def test_hostile_paths(path: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("arguments", [["train", "/dev/zero"], ["train", "smoke", "--set", "\0=1"]])
def test_the_command_ends_in_one_line(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
