"""`vicl colorize`: dabs and pictures of hints, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import pixels, vicl

from vicl.tasks.colour_hints import Dab, colorize


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """`old.png`, dark at the left, light at the right."""
    monkeypatch.chdir(tmp_path)
    gray = np.full((40, 60), 70, np.uint8)
    gray[:, 30:] = 160
    Image.fromarray(gray).save("old.png")
    return gray


def test_dabs_and_a_layer_of_hints(photo: np.ndarray) -> None:
    dabs = ("--dab", "8,9,#b03020", "--dab", "50.5,30,6090D0", "--size", "6")
    result = vicl("colorize", "old.png", *dabs, "-o", "new.png")
    assert (result.exit_code, result.stdout) == (0, "new.png\n"), result.stderr
    wanted = colorize(photo, [Dab(8, 9, (176, 48, 32), 6.0), Dab(50.5, 30, (96, 144, 208), 6.0)])
    assert np.array_equal(pixels("new.png"), np.asarray(wanted))
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[5:12, 5:12] = (176, 48, 32, 255)
    Image.fromarray(layer).save("layer.png")
    result = vicl("colorize", "old.png", "--hints", "layer.png", "-o", "new.png", "--overwrite")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels("new.png"), np.asarray(colorize(photo, layer)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "give --dab X,Y,#RRGGBB"),
        (("--dab", "1,2,red"), "got '1,2,red', expected X,Y,#RRGGBB"),
        (("--dab", "a,2,#ff0000"), "got 'a,2,#ff0000', expected X,Y,#RRGGBB"),
        (("--dab", "60,2,#ff0000"), "(60, 2) is not on the photograph, which is 60x40"),
        (("--dab", "nan,2,#ff0000"), "got the place (nan, 2.0), expected pixels"),
        (("--dab", "1,2,#ff0000", "--hints", "old.png"), "give --dab"),
        (("--hints", "old.png"), "old.png' has no transparency"),
        (("--hints", "none.png"), "none.png"),
        (("--hints", "old.png", "--size", "3"), "--size goes with --dab"),
        (("--dab", "1,2,#ff0000", "-o", "old.png"), "old.png exists already"),
        (("--dab", "1,2,#ff0000", "-o", "old.png", "--overwrite"), "is one of the inputs"),
        (("--dab", "1,2,#ff0000", "-o", "new.txt"), "suffix '.txt'"),
    ],
)
def test_what_is_wrong_is_named(photo: np.ndarray, given: tuple[str, ...], said: str) -> None:
    result = vicl("colorize", "old.png", "-o", "new.png", *given)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("new.png").exists()
