"""Pictures with labels, and cut-outs, that tests of training over an encoder learn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


def draw_labelled(folder: Path) -> Path:
    """Twelve pictures of a disc and a bar, with their masks, and three cut-outs."""
    rows = []
    for number in range(12):
        rng = np.random.default_rng(number)
        picture = rng.integers(60, 90, (64, 80, 3)).astype(np.uint8)
        mask = np.zeros((64, 80), np.uint8)
        y, x = int(rng.integers(15, 45)), int(rng.integers(15, 40))
        picture[y - 10 : y + 10, x - 10 : x + 10] = (220, 40, 40)
        mask[y - 10 : y + 10, x - 10 : x + 10] = 1
        picture[:, 60:70] = (30, 40, 220)
        mask[:, 60:70] = 2
        Image.fromarray(picture).save(folder / f"{number}.png")
        Image.fromarray(mask).save(folder / f"m{number}.png")
        classes = {"box": {"value": 1, "fraction": 0.08}, "bar": {"value": 2, "fraction": 0.12}}
        found = {"path": f"m{number}.png", "kind": "semantic", "classes": classes}
        row = {"id": str(number), "image": f"{number}.png", "source": "drawn"}
        rows.append({**row, "annotations": {"mask": found}})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "cut").mkdir()
    for name, colour in (("a", (250, 200, 0)), ("b", (0, 200, 90)), ("c", (9, 9, 9))):
        thing = Image.new("RGBA", (40, 40))
        thing.paste((*colour, 255), (6, 6, 34, 34))
        thing.save(folder / "cut" / f"{name}.png")
    return folder
