"""Prompt files from a stranger: nothing runs, nothing is written, nothing fills the memory."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pictures import picture

from vicl.canvas.layout import Layout
from vicl.engine import Sampling
from vicl.prompting.prompt_file import PromptFileError
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.settings import PromptSettings

load_prompt = VisualPrompter.load


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.vicl"
    photo = picture(12, 12)
    VisualPrompter("copy", [(photo, np.eye(12))], "segmentation").save(path)
    return path


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def edited(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    manifest = json.loads(files["prompt.json"])
    manifest.update(changes)
    return {**files, "prompt.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    "changes",
    [
        {"examples": 10**9},
        {"examples": -1},
        {"examples": 2},
        {"engine": "../../etc/passwd"},
        {"engine": "/tmp/model"},
        {"engine": "os:system"},
        {"task": "__import__('os')"},
        {"classes": [{"name": f"c{i}"} for i in range(300)]},
        {"classes": [{"name": "a"}, {"name": "a"}]},
        {"settings": {"seed": 0, "samples": 10**9, "upsampling": "guided", "tile": "auto"}},
        {"settings": {"seed": "x", "samples": 1, "upsampling": "guided", "tile": "auto"}},
        {"settings": {"seed": 0, "samples": 1, "upsampling": "guided", "tile": 3}},
        {"settings": None},
        {"version": 0.5},
        {"weights_hash": "short"},
        {"surprise": 1},
        {"dtype": "float64"},
    ],
)
def test_lies_in_the_manifest(good: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    bad = packed(tmp_path / "bad.vicl", edited(entries(good), **changes))
    with pytest.raises(ValueError, match=r"bad\.vicl|dtype"):
        load_prompt(bad)


def test_names_are_never_paths(good: Path, tmp_path: Path) -> None:
    files = {**entries(good), "../escaped.png": b"x", "/tmp/escaped": b"x"}
    load_prompt(packed(tmp_path / "bad.vicl", files))
    assert not (tmp_path.parent / "escaped.png").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_stands_twice(good: Path, tmp_path: Path) -> None:
    bad = packed(tmp_path / "bad.vicl", entries(good))
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("prompt.json", b"{}")
    with pytest.raises(PromptFileError, match="or two"):
        load_prompt(bad)


def bomb_png() -> bytes:
    """A PNG that says it is 60,000 px a side, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize(
    "data",
    [bomb_png(), b"", b"GIF89a", pickle.dumps({"a": 1}), b"%PDF-1.7", b"\x89PNG\r\n\x1a\n"],
    ids=["bomb", "empty", "gif", "pickle", "pdf", "cut short"],
)
def test_pictures_that_are_none(good: Path, tmp_path: Path, data: bytes) -> None:
    bad = packed(tmp_path / "bad.vicl", {**entries(good), "inputs/0.png": data})
    with pytest.raises(PromptFileError, match=r"inputs/0\.png"):
        load_prompt(bad)


def test_a_zip_bomb_is_read_no_further_than_its_limit(good: Path, tmp_path: Path) -> None:
    files = {**entries(good), "prompt.json": b" " * (1 << 26)}
    bad = packed(tmp_path / "bad.vicl", files, compression=zipfile.ZIP_DEFLATED)
    assert bad.stat().st_size < 1 << 18
    with pytest.raises(PromptFileError, match="larger than 1 MiB"):
        load_prompt(bad)


def test_deeply_nested_json(good: Path, tmp_path: Path) -> None:
    nested = b'{"version": 1, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    bad = packed(tmp_path / "bad.vicl", {**entries(good), "prompt.json": nested})
    with pytest.raises(PromptFileError, match=r"prompt\.json cannot be read: has too many"):
        load_prompt(bad)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps(Path("x"))),
        lambda path: path.write_bytes(b"PK\x05\x06" + b"\xff" * 30),
        lambda path: None,
    ],
    ids=["folder", "empty", "pickle", "broken zip", "missing"],
)
def test_what_is_no_prompt_file(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "bad.vicl"
    make(path)
    with pytest.raises(PromptFileError, match=r"bad\.vicl"):
        load_prompt(path)


def test_any_byte_may_be_wrong(good: Path, tmp_path: Path) -> None:
    """Flipping bytes anywhere gives a prompt or a PromptFileError, never anything else."""
    original = good.read_bytes()
    rng, opened = np.random.default_rng(0), 0
    for _ in range(150):
        data = bytearray(original)
        for place in rng.integers(0, len(data), int(rng.integers(1, 4))):
            data[place] = rng.integers(0, 256)
        path = tmp_path / "bad.vicl"
        cut = int(rng.integers(0, 50)) * int(rng.integers(0, 4) == 0)
        path.write_bytes(data[: len(data) - cut])
        with contextlib.suppress(PromptFileError):
            load_prompt(path)
            opened += 1
    assert 0 < opened < 150


LIES: tuple[Any, ...] = (
    *(None, 0, -1, 10**30, 1.5, True, "", "../../etc/passwd", "x\n\0y"),
    *([], {}, [7]),
)


def lies_about(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a manifest, with what it might say instead."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        for lie in LIES:
            yield (*place, key), lie
        if isinstance(part, dict | list):
            yield from lies_about(part, (*place, key))


FOREIGN = re.compile(
    r"Input should|Field required|Extra inputs|Value error|validation error|\[type=|pydantic"
    r"|Error\(|literal|None|True|\n"
)
"""Words of pydantic and Python, which who wrote a file need not know."""


@contextlib.contextmanager
def refused_as(said: list[str]) -> Iterator[None]:
    """Note what an error says."""
    try:
        yield
    except PromptFileError as error:
        said.append(str(error))
        raise


@pytest.mark.slow
def test_every_lie_gets_a_line_in_plain_words(good: Path, tmp_path: Path) -> None:
    settings = PromptSettings(layout=Layout.grid(1), sampling=Sampling(), tile=64)
    classes = [{"name": "a", "key": 3}, {"name": "b", "key": [1, 2, 3]}]
    files = edited(entries(good), settings=settings.model_dump(mode="json"), classes=classes)
    manifest = json.loads(files["prompt.json"])
    said: list[str] = []
    for place, lie in lies_about(manifest):
        changed = part = json.loads(files["prompt.json"])
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = lie
        bad = packed(tmp_path / "bad.vicl", {**files, "prompt.json": json.dumps(changed).encode()})
        with contextlib.suppress(PromptFileError), refused_as(said):
            load_prompt(bad)
    assert len(said) > 200
    assert [line for line in said if "bad.vicl: " not in line or FOREIGN.search(line)] == []
