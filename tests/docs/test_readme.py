"""What the README says to type is typed: on small pictures, in the order in which it stands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import vicl

from making import ROOT
from making.code import check_other
from making.commands import commands, found_command, vicl_words
from making.markdown import blocks, spans
from vicl.images import save_image

README = (ROOT / "README.md").read_text()
NOT_RUN = ("make", "pip")
"""They make environments; what they name is looked up, and nothing more."""
BY_PROCESS = "app"
"""Serves until it is stopped."""
STANDS_FOR = {
    "Q": "dog.jpg",
    "IN": "leaf.jpg",
    "MASK": "leaf_mask.png",
    "EDGES": "leaf_mask.png",
    "OUT": "leaf_mask.png",
    "POOL": "labelled",
    "CLASSES": "classes",
    "PHOTOS": "photos",
    "RUN": "run",
    "X,Y": "60,48",
    "X0,Y0,X1,Y1": "40,28,80,68",
}
"""The table's words, and the test's files."""


def draw(seed: int) -> tuple[Image.Image, Image.Image]:
    """A yellow disc about (60, 48) on a meadow, 128 x 96, and its mask."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:96, :128]
    y, x = 48 + int(rng.integers(-4, 5)), 60 + int(rng.integers(-4, 5))
    disc = (across - x) ** 2 + (down - y) ** 2 < 20**2
    photo = np.full((96, 128, 3), (60, 130, 60)) + rng.normal(0, 12, (96, 128, 3))
    photo[disc] = (230, 190, 40)
    mask = Image.fromarray((disc * 255).astype(np.uint8))
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8)), mask


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README names."""
    monkeypatch.chdir(tmp_path)
    photo, mask = draw(0)
    save_image(photo, "leaf.jpg")
    mask.save("leaf_mask.png")
    for name, seed in (("dog.jpg", 1), ("photos/a.jpg", 2), ("photos/b.jpg", 3), ("more/c.jpg", 4)):
        save_image(draw(seed)[0], name)
    for number in range(6):
        photo, mask = draw(number)
        save_image(photo, f"labelled/images/{number}.png")
        save_image(mask, f"labelled/masks/{number}.png")
        for part in ("train", "test"):
            save_image(photo, f"classes/{part}/yellow/{number}.png")
            save_image(mask.convert("RGB"), f"classes/{part}/white/{number}.png")
    return tmp_path


def typed() -> list[list[str]]:
    """Every command of the README's blocks, in order."""
    return [words for block in blocks(README) if block.shell for words in commands(block.code)]


def in_table() -> list[list[str]]:
    """Every command between words and in tables, the test's files in the place of their names."""
    found = [words for code, _ in spans(README) for words in commands(code) if len(words) > 1]
    ours = [words for words in found if words[0] == "vicl"]
    return [[_filled(word) for word in words] for words in ours]


def _filled(word: str) -> str:
    if word in STANDS_FOR:
        return STANDS_FOR[word]
    place, comma, colour = word.partition(",#")
    return STANDS_FOR.get(place, place) + comma + colour


def run(words: Sequence[str]) -> None:
    """Run one of vicl's commands in this process, and see that it ends well."""
    result = vicl(*words)
    assert result.exit_code == 0, (words, result.stderr)


def with_output(words: Sequence[str], name: str) -> list[str]:
    """A command that says where its answer goes."""
    command, _ = found_command(words)
    takes = any("--output" in param.opts for param in command.params)
    return [*words, "-o", name] if takes and "-o" not in words else [*words]


def test_every_command_is_run_or_said_not_to_be() -> None:
    names = {words[0] for words in typed()}
    assert names == {"vicl", *NOT_RUN}
    for words in typed():
        if words[0] in NOT_RUN:
            check_other(words)  # the target, or the extra, is there
    called = {words[1] for words in (*typed(), *in_table()) if words[0] == "vicl"}
    assert called == {"predict", "segment", "colorize", "tune", "models", BY_PROCESS}
    assert len([words for words in typed() if words[0] == "vicl"]) == 6
    assert len(in_table()) == 11


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_first_command_gives_masks(home: Path) -> None:
    Path("photos/b.jpg").unlink()
    first = next(words for words in typed() if words[0] == "vicl")
    run(first[1:])
    found = np.asarray(Image.open("masks/a.png")) > 127
    truth = np.asarray(draw(2)[1]) > 127
    assert (found & truth).sum() / (found | truth).sum() > 0.8


@pytest.mark.slow
def test_all_blocks_in_order(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(README):
        if block.language == "python":
            exec(block.code, {"__name__": "readme"})
        elif block.shell:
            for words in commands(block.code):
                called = vicl_words(words)
                if called is not None and called[0] != BY_PROCESS:
                    run(called)
    written = ("masks/a.png", "leaf.vicl", "dog_mask.png", "clicked.overlay.png", "clicked/b.png")
    for name in written:
        assert Path(name).is_file(), name
    assert [one["file_name"] for one in json.loads(Path("more.json").read_text())["images"]] == [
        "c.jpg"
    ]
    assert "a.jpg" in capsys.readouterr().out  # what Python's block prints of each photograph


@pytest.mark.slow
@pytest.mark.parametrize("words", in_table(), ids=" ".join)
def test_what_the_table_says_to_use_works(home: Path, words: list[str]) -> None:
    if words[1] == BY_PROCESS:
        serve(words)
    elif len(words) > 2 or words[1] == "models":
        run(with_output(words[1:], "answer.png"))


@pytest.mark.slow
def test_the_app_opens_the_folder(home: Path) -> None:
    (words,) = [words for words in typed() if words[:2] == ["vicl", BY_PROCESS]]
    serve(words)


def serve(words: Sequence[str]) -> None:
    """Start the app as a process, ask it for its images, and stop it."""
    pytest.importorskip("fastapi")
    process = subprocess.Popen(
        [sys.executable, "-m", *words, "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.match(r"http://\S+/$", address), process.communicate()[1]
        with closing(urllib.request.urlopen(f"{address}v1/images", timeout=60)) as reply:
            assert "b.jpg" in reply.read().decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode in (0, 130)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
