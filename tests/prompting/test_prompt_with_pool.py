"""Prompt files that refer to a pool: the same choice again, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.selection.encoders import Mean, labelled, mask, plain

from vicl.images import to_tensor
from vicl.prompt import Example
from vicl.prompting.prompt_file import PromptFileError
from vicl.prompting.prompter import VisualPrompter
from vicl.selection.fixed import best_of, diverse
from vicl.selection.index import encode_pool
from vicl.selection.index_folder import index_folder, index_pool
from vicl.selection.pool import Pool, open_pool
from vicl.selection.selectors import Nearest, Random, Selector


def loaded(name: str, **how: object) -> Mean:
    """Quicker than the encoders that come with the package, under one of their names."""
    return Mean(name=name, weights_hash=None)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicl.selection.reference.load_encoder", loaded)


def indexed(pool: Pool) -> Any:
    found, _ = index_pool(pool, loaded("handmade"), index_folder(pool.source or ""))
    return found.only(found.pool.showing("thing"))


def red(examples: Any, truth: Example) -> float:
    return float(to_tensor(examples[0].input)[0].mean())


SELECTS: dict[str, Callable[[Pool], Selector]] = {
    "nearest": lambda pool: Nearest(indexed(pool), 2),
    "random": lambda pool: Random(pool.showing({"thing": 255}), 2, seed=4),
    "diverse": lambda pool: diverse(indexed(pool), 2),
    "best-of": lambda pool: best_of(pool.labelled, red, tries=3, queries=2),
    "of whatever class": lambda pool: Random(pool.as_one()),
}


def made(root: Path, select: str = "nearest") -> VisualPrompter:
    return VisualPrompter("copy", SELECTS[select](open_pool(root)), "segmentation", classes="thing")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pool in a folder."""
    return labelled(tmp_path / "home/pool")


@pytest.mark.parametrize("select", SELECTS)
def test_it_chooses_as_the_prompter_that_saved_it(root: Path, tmp_path: Path, select: str) -> None:
    if select in ("nearest", "diverse"):  # the index has it not
        (root / "images/broken.png").write_bytes(b"broken")
        mask(root / "masks/broken.png")
    before = made(root, select)
    before.save(root.parent / "p.vicl")
    queries = [plain(tmp_path / f"q/{n}.png", c) for n, c in enumerate([(240, 9, 9), (9, 9, 240)])]
    queries.append(root / "images/red.png")
    moved = tmp_path / "moved"
    wanted = [[file.name for file in before.predict(query).examples] for query in queries]
    root.parent.rename(moved)
    queries[-1] = moved / "pool/images/red.png"
    after = VisualPrompter.load(moved / "p.vicl")
    found = [after.predict(query) for query in queries]
    assert [[file.name for file in answer.examples] for answer in found] == wanted
    assert all(file.is_relative_to(moved) for answer in found for file in answer.examples)
    assert "red.png" not in wanted[-1]
    assert after.made_by()["task"] == before.made_by()["task"] == "segmentation"
    assert np.asarray(found[0].image).shape == (24, 24, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: mask(root / "masks/lime.png", 7), "the pool was changed since"),
        (lambda root: plain(root / "images/lime.png", (1, 2, 3)), "the pool was changed since"),
        (lambda root: (root / "masks/lime.png").unlink(), "has 4 images to choose from"),
        (lambda root: root.rename(root.with_name("other")), "the pool of its examples is gone"),
    ],
)
@pytest.mark.parametrize("select", ["nearest", "best-of"])
def test_a_pool_that_is_gone_or_changed_is_refused(
    root: Path, change: Callable[[Path], object], says: str, select: str
) -> None:
    made(root, select).save(root.parent / "p.vicl")
    change(root)
    with pytest.raises(PromptFileError, match=rf"p\.vicl: .*{says}"):
        VisualPrompter.load(root.parent / "p.vicl")


def test_a_pool_elsewhere_is_named_by_whoever_opens_the_file(root: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "elsewhere", root):  # beside it, and within
        place.mkdir(exist_ok=True)
        made(root).save(place / "p.vicl")
        with pytest.raises(PromptFileError, match=r"say where it is by pool=\.\.\. \(command line"):
            VisualPrompter.load(place / "p.vicl")
        opened = VisualPrompter.load(place / "p.vicl", pool=root)
        assert opened.example_count == 2
    VisualPrompter("copy", [(Pixels, Pixels)]).save(tmp_path / "own.vicl")
    with pytest.raises(PromptFileError, match="has its examples in it, and takes no pool"):
        VisualPrompter.load(tmp_path / "own.vicl", pool=root)


Pixels = np.full((8, 8, 3), 99, np.uint8)


def test_values_and_selectors_of_ones_own_cannot_be_referred_to(tmp_path: Path) -> None:
    pool = open_pool([(np.full((8, 8, 3), n, np.uint8), np.eye(8)) for n in range(3)])
    for selector in (Random(pool), Nearest(encode_pool(pool, Mean()))):
        with pytest.raises(PromptFileError, match=r"p\.vicl: the pool: .*give the examples"):
            VisualPrompter("copy", selector, "segmentation").save(tmp_path / "p.vicl")
