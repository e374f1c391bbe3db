"""What the tests of many queries share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.prompting.test_prompter import scene
from tests.training.shards import write_tar

from vicl.images import save_image, to_pil


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an example; two shards, and the folders of their names that they hold."""
    monkeypatch.chdir(tmp_path)
    image, mask = scene(90)
    save_image(to_pil(image), "in.png")
    Image.fromarray(mask).save("out.png")
    for number in (0, 1):
        files = {}
        for seed in range(3):
            name = f"sub/{number}{seed}.png" if seed == 2 else f"{number}{seed}.png"
            save_image(to_pil(scene(3 * number + seed)[0]), f"s-{number}/{name}")
            files[name] = Path(f"s-{number}/{name}").read_bytes()
            files[f"{name[:-4]}.json"] = b"{}"
        write_tar(tmp_path / f"s-{number}.tar", files)
    return tmp_path
