"""The engine that a service takes if none is named, on photographs of the package."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.cli.test_cli import vicl as run
from tests.server.service.serving import files, serving, words

import vicl
from vicl.files.packaged import PHOTOS
from vicl.models.matching.engine import Matching

pytestmark = pytest.mark.slow


def small(name: str, place: Path) -> Path:
    """A photograph as a JPEG with an orientation, or a mask as it is."""
    opened = Image.open(PHOTOS / name)
    opened.thumbnail((240, 240), Image.Resampling.NEAREST)
    path = place / name
    if path.suffix == ".png":
        opened.save(path)
        return path
    exif = Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    opened.convert("RGB").save(data, "JPEG", exif=exif)
    path.write_bytes(data.getvalue())
    return path


def test_bytes_are_the_command_lines_and_a_prompt_is_learned_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, query = (small(f"dandelion_{n}.jpg", tmp_path) for n in (1, 2))
    mask = Image.open(PHOTOS / "dandelion_1_mask.png").resize(vicl.images.open_image(shown).size)
    mask.save(tmp_path / "mask.png")
    pair, task = [str(shown), str(tmp_path / "mask.png")], ["--task", "segmentation"]
    saved, out = str(tmp_path / "d.vicl"), tmp_path / "out.png"
    made = run("predict", str(query), "--example", *pair, *task, "--save-prompt", saved)
    assert made.exit_code == 2, "an answer goes somewhere"
    made = run(
        *("predict", str(query), "--example", *pair, *task),
        *("--min-presence", "0", "--save-prompt", saved, "-o", str(out)),
    )
    assert made.exit_code == 0, made.output

    learned = 0
    before = Matching._learn

    def counted(self: Matching, pairs: Any) -> Any:
        nonlocal learned
        learned += 1
        return before(self, pairs)

    monkeypatch.setattr(Matching, "_learn", counted)
    sent = files("query", query.read_bytes())
    own = files("example_input", shown.read_bytes()) + files(
        "example_output", (tmp_path / "mask.png").read_bytes()
    )
    by_prompt = [*sent, *words(prompt="d", format="png")]
    by_examples = [
        *(*sent, *own),
        *words(task="segmentation", settings={"min_presence": 0}, format="png"),
    ]
    with serving(prompts=(Path(saved),)) as served:
        assert served.service.engines.chosen().name == "matching"
        assert learned == 1, "at the start"
        with ThreadPoolExecutor(6) as pool:
            replies = [*pool.map(served.post, [by_prompt, by_examples] * 3)]
    assert [reply.status_code for reply in replies] == [200] * 6
    assert {reply.content for reply in replies} == {out.read_bytes()}
    assert learned == 2, "the request's own examples, once"
    assert vicl.images.open_bytes(out.read_bytes(), "answer").getextrema() == (0, 255)
