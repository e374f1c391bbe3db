"""VisualPrompter: prompt on A, run on B."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture
from tests.stand_ins import Bright, Mirror
from torch import Tensor

import vicl
from vicl.engine import Filled
from vicl.images import save_image, to_pil, to_tensor
from vicl.prompt import Example, Prompt
from vicl.prompting.prompter import VisualPrompter


def scene(seed: int, size: tuple[int, int] = (30, 40)) -> tuple[Tensor, np.ndarray]:
    """A bright square on a dark, noisy ground, and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, bool)
    top, left = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
    mask[top : top + 12, left : left + 12] = True
    image = 0.2 * picture(*size, seed=seed) + 0.7 * torch.from_numpy(mask)
    return (image * 255).round() / 255, mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(7):
        save_image(to_pil(scene(index)[0]), tmp_path / f"{index}.png")
    (tmp_path / "3.png").write_bytes(b"not an image")
    return tmp_path


def prompter(**options: object) -> VisualPrompter:
    return VisualPrompter(Bright(), [scene(90)], "segmentation", **options)  # type: ignore[arg-type]


def test_prompt_on_a_run_on_b() -> None:
    image, mask = scene(1)
    answer = prompter().predict(image)
    assert np.array_equal(answer.mask, mask)
    assert answer.classes == ("object",)
    assert answer.image.size == (40, 30)
    assert set(np.unique(np.asarray(answer.image))) == {0, 255}


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_map_keeps_order_and_survives_a_broken_image(
    folder: Path, batch_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="vicl"):
        answers = list(prompter().map(folder, batch_size=batch_size))
    assert [a.index for a in answers] == [0, 1, 2, 4, 5, 6]
    assert [a.source.name for a in answers if a.source] == [f"{i}.png" for i in (0, 1, 2, 4, 5, 6)]
    assert "3.png" in caplog.text
    for answer in answers:
        assert np.array_equal(answer.mask, scene(answer.index)[1])


def test_map_can_raise_or_call_back(folder: Path) -> None:
    with pytest.raises(vicl.ImageError, match=r"3\.png"):
        list(prompter().map(folder, on_error="raise"))
    met: list[tuple[object, Exception]] = []
    list(prompter().map(folder, on_error=lambda query, error: met.append((query, error))))
    assert [Path(str(query)).name for query, _ in met] == ["3.png"]


def test_a_query_that_the_engine_cannot_answer_does_not_take_its_neighbours_along() -> None:
    queries = [scene(0)[0], torch.zeros(3, 30, 40), scene(2)[0]]
    answers = list(prompter().map(queries, batch_size=3))
    assert [a.index for a in answers] == [0, 2]


def test_map_streams_an_endless_iterable() -> None:
    taken = 0

    def endless() -> Iterator[Tensor]:
        nonlocal taken
        while True:
            taken += 1
            yield scene(taken)[0]

    answers = prompter().map(endless(), batch_size=4)
    for _ in range(6):
        next(answers)
    assert taken == 8


def test_map_prompts_brings_examples_of_their_own() -> None:
    bare = VisualPrompter(Bright(), task="segmentation")
    prompts = [Prompt([scene(index + 20)], scene(index)[0]) for index in range(3)]
    answers = list(bare.map_prompts(prompts, batch_size=2))
    for index, answer in enumerate(answers):
        assert np.array_equal(answer.mask, scene(index)[1])
    with pytest.raises(ValueError, match="map_prompts"):
        bare.predict(scene(0)[0])


def test_a_broken_example_of_a_prompt_is_reported_and_skipped(tmp_path: Path) -> None:
    bare = VisualPrompter(Bright(), task="segmentation")
    missing = Prompt([(tmp_path / "none.png", np.ones((3, 3)))], scene(0)[0])
    met: list[Exception] = []
    answers = bare.map_prompts(
        [missing, Prompt([scene(5)], scene(1)[0])], on_error=lambda _, error: met.append(error)
    )
    assert [a.index for a in answers] == [1]
    assert "none.png" in str(met[0])


@dataclass
class _Half(Bright):
    """Marks the left half, and, where it learns from parts of masks, says so."""

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        image = torch.zeros(3, 40, 40)
        image[:, :, :20] = 1
        return [Filled(image) for _ in prompts]


class _OfParts(_Half):
    def asked(self, **_: Any) -> _OfParts:
        return self


def test_what_nobody_says_counts_for_no_engine() -> None:
    """Of a mask that is right where it says anything every engine gets the same full score."""
    mask = np.full((40, 40), 255, np.uint8)
    mask[:20, :20], mask[:20, 20:] = 1, 0
    shown = [(to_pil(torch.rand(3, 40, 40)), Image.fromarray(mask)) for _ in range(2)]
    for model in (_Half(), _OfParts()):
        made = VisualPrompter(model, shown, "segmentation", classes={"dog": 1})
        first, second = (Example(*pair) for pair in shown)
        assert made.score([first], second) == 1.0
    expected = made.expected_score()
    assert expected is not None
    assert expected.values == (1.0, 1.0)


def test_expected_score_leaves_one_out() -> None:
    assert prompter().expected_score() is None
    several = VisualPrompter(Bright(), [scene(s) for s in (1, 2, 3)], "segmentation")
    expected = several.expected_score()
    assert expected is not None
    assert expected.values == (1.0, 1.0, 1.0)
    # The mean of the two others' masks is white only where both are.
    masks = [scene(s)[1] for s in (1, 2, 3)]
    both = [masks[1] & masks[2], masks[0] & masks[2], masks[0] & masks[1]]
    copied = [(m & b).sum() / (m | b).sum() for m, b in zip(masks, both, strict=True)]
    assert expected.copy == pytest.approx(copied)
    assert "3 examples" in str(expected)
    assert several.expected_score() is expected


def test_large_queries_are_tiled_where_the_task_is_local() -> None:
    small = Bright(max_size=40)
    query = scene(0, (100, 90))[0]
    for task, tile, shown in (
        ("image", "auto", 9),
        ("image", "whole", 1),
        ("segmentation", "auto", 1),
        ("segmentation", 64, 4),
    ):
        made = VisualPrompter(small, [scene(90)], task, tile=tile)
        small.prompts = 0
        assert made.predict(query).image.size == (90, 100)
        assert small.prompts == shown, (task, tile)


def test_several_classes_take_one_pass_each() -> None:
    image, mask = scene(1)
    wrong = ~mask
    both = VisualPrompter(
        Bright(),
        [(image, {"square": mask, "ground": wrong})],
        "segmentation",
        classes=["square", "ground"],
    )
    answer = both.predict(image)
    assert answer.scores is not None
    assert answer.scores.shape == (2, 30, 40)
    assert answer.mask is not None
    assert set(np.unique(answer.mask)) <= {0, 1, 2}


def test_an_inpainter_is_put_on_a_layout() -> None:
    image = picture(50, 60)
    answer = VisualPrompter(Mirror(), [(image, image)], samples=2).predict(image)
    assert answer.canvas is not None
    assert answer.canvas.size == (224, 224)
    assert answer.cell is not None
    assert answer.likelihood == -1.0
    assert len(answer.alternatives) == 1
    assert answer.confidence is not None


def test_predict_takes_paths_arrays_pil_and_tensors(tmp_path: Path) -> None:
    image, mask = scene(1)
    path = tmp_path / "a.png"
    save_image(to_pil(image), path)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    forms = [path, str(path), to_pil(image), np.asarray(to_pil(image)), image]
    answers = [
        vicl.predict(form, [(form, tmp_path / "mask.png")], "segmentation", model=Bright())
        for form in forms
    ]
    for answer in answers:
        assert np.array_equal(answer.mask, mask)


def test_the_grid_of_an_engine_without_canvas_can_be_drawn() -> None:
    image, _ = scene(1)
    made = prompter()
    grid = np.asarray(made.canvas(image, made.predict(image)))
    assert grid.shape == (448, 448, 3)
    assert (grid[225:, 225:] > 250).any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples": 0}, "samples"),
        ({"tile": 4}, "at least 16"),
        ({"tile": 32, "samples": 2}, "no alternatives"),
        ({"fit": "pad"}, "has no canvas"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        prompter(**options)


@pytest.mark.parametrize(
    ("examples", "says"),
    [
        ([], "at least one"),
        ([("a.png",)], r"examples\[0\]"),
        ([("a.png", "b.png", "c.png")], r"examples\[0\]"),
        ("a.png", "expected a list"),
    ],
)
def test_examples_are_checked(examples: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        vicl.predict(scene(0)[0], examples, model=Bright())  # type: ignore[arg-type]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no image files"):
        prompter().map(tmp_path)


@pytest.mark.slow
def test_a_large_example_is_kept_small_and_a_large_query_is_answered_whole() -> None:
    disc = np.zeros((1500, 2100), bool)
    disc[400:900, 600:1300] = True
    picture = np.where(disc[..., None], [200, 40, 40], [40, 120, 60]).astype(np.uint8)
    prompter = VisualPrompter("analogies", [(picture, disc)], "segmentation")
    kept = prompter.passes[0][0]
    assert max(to_tensor(kept.input).shape[1:]) == max(to_tensor(kept.output).shape[1:]) == 1024
    answer = prompter.predict(picture)
    assert answer.mask is not None
    assert answer.mask.shape == disc.shape
    assert ((answer.mask > 0) & disc).sum() / ((answer.mask > 0) | disc).sum() > 0.97


def test_large_queries_wait_for_their_answers_one_at_a_time() -> None:
    """With two megapixels at a time, the third of these waits until two are answered."""
    pulled = 0

    def queries() -> Iterator[Image.Image]:
        nonlocal pulled
        for _ in range(4):
            pulled += 1
            yield Image.new("RGB", (1000, 1000))

    prompter = VisualPrompter("identity", [(Image.new("RGB", (8, 8)),) * 2])
    answers = prompter.map(queries(), batch_size=2)
    next(answers)
    assert pulled == 2


@pytest.mark.parametrize("model", ["analogies", "default", "copy", "identity"])
def test_everything_says_what_it_is_in_one_line(model: str) -> None:
    image, mask = scene(1, (48, 64))
    prompter = VisualPrompter(model, [(image, mask)], "segmentation")
    answer = prompter.predict(image)
    shown = (prompter, prompter.model, prompter.task, prompter.settings, answer)
    for thing in (*shown, prompter.passes[0][0], Prompt([(image, mask)], image)):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 400
        assert " at 0x" not in repr(thing)
    assert "mask=<array 48x64 uint8>" in repr(answer)


def test_an_answer_shows_itself_small() -> None:
    answer = VisualPrompter("identity", [(Image.new("RGB", (9, 9)),) * 2]).predict(
        Image.new("RGB", (1500, 300), (9, 90, 200))
    )
    shown = Image.open(io.BytesIO(answer._repr_png_()))
    assert shown.size == (512, 102)
    assert shown.getpixel((100, 50)) == (9, 90, 200)
    assert answer.image.size == (1500, 300)


def test_several_queries_are_for_map(folder: Path) -> None:
    prompter = VisualPrompter("copy", [scene(1)], "segmentation")
    for several in (folder, str(folder)):
        with pytest.raises(ValueError, match=r"expected one image; for several.*prompter\.map"):
            prompter.predict(several)


def test_progress_shows_and_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []

    @contextmanager
    def counted(what: str, *, total: int | None) -> Iterator[Callable[[int], None]]:
        assert (what, total) == ("answering", 7)
        yield moved.append

    monkeypatch.setattr("vicl.prompting.queries.bar", counted)
    prompter = VisualPrompter("copy", [scene(1)], "segmentation")
    shown = [answer.index for answer in prompter.map(folder, progress=True)]
    assert shown == [answer.index for answer in prompter.map(folder)] == [0, 1, 2, 4, 5, 6]
    assert moved == [1, 1, 1, 2, 1, 1]


def test_a_picture_is_held_once_however_many_classes_it_shows() -> None:
    image, mask = scene(0)
    labels = mask.astype(np.uint8)
    labels[:2] = 2
    prompter = VisualPrompter("copy", [(image, labels)], "segmentation", classes=["a", "b"])
    (first,), (second,) = prompter.passes
    assert first.input is second.input
    assert not torch.equal(first.output, second.output)
