"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.prompting.test_prompter import scene

from vicl.images import save_image, to_pil


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an example, three queries in two folders, and a broken one."""
    monkeypatch.chdir(tmp_path)
    image, mask = scene(90)
    save_image(to_pil(image), "in.png")
    Image.fromarray(mask).save("out.png")
    for name, seed in (("q/a.png", 1), ("q/b.jpg", 2), ("q/sub/c.png", 3)):
        save_image(to_pil(scene(seed)[0]), name)
    return tmp_path
