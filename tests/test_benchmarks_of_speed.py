"""The benchmarks beside others' ways, and of what grows, run from their own command lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.prompting.test_prompter import scene
from tests.test_benchmarks import photographs, run
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from beside import Neighbours, PixelForest, RandomWalker
from matching import example_of
from scaling import Cost, Curve, Work, curves, main, report, slope
from vicl.engine import Features, InContextModel
from vicl.evaluation.scoring.measures import marked
from vicl.metrics import iou
from vicl.prompt import Prompt


class Brightness:
    """An encoder of nothing else, in patches of 14 px."""

    name, weights_hash, strides, channels = "brightness", None, (14,), (2,)

    def encode(self, image: Tensor) -> Features:
        light = F.avg_pool2d(image.mean(1, keepdim=True), 14)
        level = torch.cat([light, 1 - light], 1)
        return Features((level,), level.mean((2, 3)))


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(PixelForest(), marks=pytest.mark.slow),
        RandomWalker(),
        Neighbours("brightness", Brightness()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_others_ways_find_what_an_example_marks(engine: InContextModel) -> None:
    image, mask = scene(0, (64, 64))
    known = np.zeros_like(mask)
    known[::3, ::3] = True
    told = example_of(image, mask, known=None if isinstance(engine, Neighbours) else known)
    (answer,) = engine.answer([Prompt([told], image)])
    assert iou(marked(answer.image), mask) > 0.7


@pytest.mark.slow
def test_beside(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    photographs(data, {"new": "evaluate"})
    drawn = tmp_path / "beside.png"
    few = ("--data", data, "--dinov2", tmp_path / "none", "--episodes", "1", "--figure", drawn)
    done = run("beside.py", *few)
    assert done.returncode == 0, done.stderr
    assert "none: is not there" in done.stderr
    for name in ("copy", "INSID3's recipe", "random forest", "random walker"):
        assert f"| {name} |" in done.stdout
    with Image.open(drawn) as figure:
        assert figure.width > 600


@pytest.mark.slow
def test_scaling(tmp_path: Path) -> None:
    drawn = tmp_path / "growth.png"
    few = ("--examples", "1", "2", "--photographs", "1", "2", "--megapixels", "0.05", "0.1")
    rest = ("--classes", "1", "3", "--engines", "analogies", "--figure", str(drawn))
    done = run("scaling.py", *few, *rest)
    assert done.returncode == 0, done.stderr
    for kind in ("examples", "photographs", "megapixels", "classes"):
        assert f"| {kind} | `analogies` | MiB |" in done.stdout
    assert "not measured)" in done.stdout
    with Image.open(drawn) as figure:
        assert figure.width > 1000


def test_what_is_drawn_on_is_marked_and_slopes_are_those_of_powers() -> None:
    sizes = (1.0, 10.0, 100.0)
    assert slope(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    seconds = {size: 2 + 0.5 * size for size in sizes}
    found = {Work("photographs", n, "copy"): Cost(s, None, 300, 200) for n, s in seconds.items()}
    drawn = list(curves(found))
    assert [curve.what for curve in drawn] == ["seconds, all", "MiB"]
    assert drawn[0].drawn_on == pytest.approx(5002)
    assert drawn[0].slope < drawn[0].last_slope < 1
    assert drawn[1].drawn_on is None
    assert "(10,000: 5,002, not measured)" in report(drawn)
    assert Curve("photographs", "seconds, all", "copy", (1, 10_000), (1, 2)).drawn_on is None


@pytest.mark.parametrize("wrong", [("--examples", "17"), ("--classes", "0")])
def test_what_is_asked_is_bounded(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*wrong])
    assert f"{wrong[0]}: expected" in capsys.readouterr().err
