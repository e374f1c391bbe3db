"""VisualPrompter: examples once, queries without end.

It draws the examples as its task says, shows each query to an engine (whole, or in tiles), brings
the answer to the query's size and reads it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.canvas.rects import Fit
from vicl.engine import Filled, InContextModel, Inpainter, Sampling
from vicl.images import (
    DEFAULT_LIMIT_PIXELS,
    ImageLike,
    find_images,
    resize,
    to_pil,
    to_tensor,
)
from vicl.images.upsampling import Upsampling
from vicl.loading import BEST_FOR_TASK, load_model
from vicl.metrics import Interval, bootstrap_interval
from vicl.prompt import Example, ExampleLike, Prompt, as_examples
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompt_file import SavedPrompt, load_prompt, save_prompt
from vicl.prompting.tiling import LargeQueries, tiles
from vicl.tasks import Task, draw_examples, get_task
from vicl.tasks.boxes import Box
from vicl.tasks.masks import ClassesLike

log = logging.getLogger(__name__)

Tile = int | Literal["auto", "whole"]
OnError = Literal["skip", "raise"] | Callable[[Any, Exception], None]


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out for one query; everything at the query's own size (h, w).

    Attributes:
        image: RGB. A mask or boxes are drawn clean; other tasks give the engine's picture.
        confidence: How sure the engine is, float32 (h, w) in [0, 1]; None if it cannot say.
        likelihood: Log-likelihood, for ranking answers to one query; None if the engine has none.
        mask: Segmentation: class numbers, uint8 (h, w), 0 = background.
        scores: Segmentation and detection: float32 (classes, h, w) in [0, 1].
        classes: Their names, in the order of their numbers from 1.
        boxes: Detection: xyxy in pixels of the query, class number and score.
        edges: Edges: float32 (h, w) in [0, 1].
        cell: The first pass's answer as inpainted; None for engines without a canvas.
        canvas: The first pass's filled canvas; None for engines without one.
        alternatives: Further answers, best first, where `samples` asked for them.
        index: Which query it answers, counted from 0.
        source: The query's file, where it was one.
    """

    image: Image.Image
    confidence: Float[np.ndarray, "h w"] | None = None
    likelihood: float | None = None
    mask: UInt8[np.ndarray, "h w"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    classes: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    edges: Float[np.ndarray, "h w"] | None = None
    cell: Image.Image | None = None
    canvas: Image.Image | None = None
    alternatives: tuple[Answer, ...] = ()
    index: int = 0
    source: Path | None = None


@dataclass(frozen=True)
class ExpectedScore:
    """How well a prompt's examples predict one another.

    Attributes:
        metric: What was measured, such as "IoU"; more is better.
        values: One an example: it as the query, the others as its examples.
        copy: The same for the Copy floor.
    """

    metric: str
    values: tuple[float, ...]
    copy: tuple[float, ...]

    @property
    def interval(self) -> Interval:
        """Mean of the values with its bootstrap 95% interval."""
        return bootstrap_interval(self.values)

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.interval.mean:.2f} by leaving one out of {len(self.values)} "
            f"examples (Copy: {np.mean(self.copy):.2f})"
        )


class VisualPrompter:
    """Answers queries by examples.

    Args:
        model: An engine, an inpainter, or what :func:`vicl.load_model` takes; None picks the
            engine that measured best for the task.
        examples: (input, output) pairs. May be left out if only :meth:`map_prompts` is used.
        task: "image", "segmentation", "detection", "edges" or "colorization", or a task object.
        classes: Names of the classes, and what marks them; see
            :meth:`vicl.tasks.masks.Classes.parse`.
        palette: Segmentation: all classes in one prompt, by colours.
        seed: Of everything random.
        samples: How many different answers to give a query, if the engine has as many.
        sampling: For inpainters: how answers after the first are drawn.
        tile: Answer in overlapping tiles of this many pixels a side, or show the query "whole".
            "auto" tiles queries that are larger than the engine takes, if the task looks at what
            is near (images, edges, colorization) and one sample is asked for; measured by
            `benchmarks/resolution.py`.
        upsampling: How answers of an engine that sees less than the query's pixels are enlarged.
        layout: For inpainters: the grid; None takes the general one.
        fit: For inpainters: how images of other shapes go into the general grid's cells.
        spins: For inpainters: see :class:`vicl.prompting.canvas_model.CanvasModel`.
        device: Passed to :func:`vicl.load_model` if `model` is a name.
        dtype: Likewise.
        limit_pixels: Files with more pixels are refused.

    Raises:
        ValueError: If an option or an example is wrong; the message says which and what to do.
        vicl.ImageError: If an example cannot be opened.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
        examples: Iterable[ExampleLike] = (),
        task: str | Task = "image",
        *,
        classes: ClassesLike = None,
        palette: bool = False,
        seed: int = 0,
        samples: int = 1,
        sampling: Sampling | None = None,
        tile: Tile = "auto",
        upsampling: Upsampling = "guided",
        layout: Layout | None = None,
        fit: Fit = "stretch",
        spins: int | None = None,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        dtype: str = "auto",
        limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    ) -> None:
        if samples < 1:
            raise ValueError(f"samples: got {samples}, expected at least 1")
        if isinstance(tile, int):
            tiles((1, 1), tile)  # refuses tiles that are too small
            if samples > 1:
                raise ValueError("samples, tile: an answer in tiles has no alternatives")
        self.task = get_task(task, classes=classes, palette=palette)
        if model is None:
            model = BEST_FOR_TASK.get(self.task.name, BEST_FOR_TASK["image"])
        if isinstance(model, str | os.PathLike):
            model = load_model(model, device=device, dtype=dtype)
        self.model: InContextModel
        if isinstance(model, Inpainter):
            self.model = CanvasModel(
                model,
                layout=layout,
                fit=fit,
                spins=spins,
                upsampling=upsampling,
                sampling=sampling or Sampling(),
            )
        elif layout is not None or fit != "stretch" or spins is not None or sampling is not None:
            raise ValueError(
                f"layout, fit, spins, sampling: {model.name} has no canvas, so these would change "
                "nothing"
            )
        else:
            self.model = model
        self.dtype = "float32" if dtype == "auto" else dtype
        self.seed = seed
        self.samples = samples
        self.tile = tile
        self.upsampling = upsampling
        self.limit_pixels = limit_pixels
        given = list(examples) if not isinstance(examples, str | Example) else examples
        self.passes: tuple[tuple[Example, ...], ...] = ()
        """For each pass of the task, the examples as the engine sees them."""
        if given:
            self.passes = self._draw(as_examples(given))
        self._expected: ExpectedScore | None = None

    def predict(self, query: ImageLike) -> Answer:
        """Answer one query.

        Raises:
            vicl.ImageError: If it cannot be opened.
        """
        return next(iter(self.map([query], batch_size=1, on_error="raise")))

    def map(
        self,
        queries: str | os.PathLike[str] | Iterable[ImageLike],
        *,
        batch_size: int = 16,
        on_error: OnError = "skip",
    ) -> Iterator[Answer]:
        """Answer many queries, in order, as they come.

        Args:
            queries: A folder (searched with its subfolders), or any iterable of images; it may be
                endless, since at most `batch_size` of them are held at a time.
            batch_size: Queries given to the engine at once; makes no difference to the answers.
            on_error: What to do with a query that cannot be opened or answered: "skip" logs it and
                goes on, "raise" raises, a function is called with the query and the error. An
                answer's `index` and `source` say which query it belongs to.
        """
        if not self.passes:
            raise ValueError("examples: none were given; map_prompts takes prompts with their own")
        if isinstance(queries, str | os.PathLike):
            queries = _folder(queries)
        prompts = ((query, self.passes) for query in queries)
        return self._map(prompts, batch_size, on_error)

    def map_prompts(
        self,
        prompts: Iterable[Prompt],
        *,
        batch_size: int = 16,
        on_error: OnError = "skip",
    ) -> Iterator[Answer]:
        """Answer prompts that each bring examples of their own; see :meth:`map`."""

        def drawn() -> Iterator[tuple[ImageLike, Any]]:
            for prompt in prompts:
                yield prompt.query, prompt.examples

        return self._map(drawn(), batch_size, on_error)

    def expected_score(self) -> ExpectedScore | None:
        """Measure the prompt on its own examples, by leaving one out; None for a single example.

        Each example is answered as a query with the others as its examples, and compared with its
        own annotation as drawn. Computed once, then kept.
        """
        count = len(self.passes[0]) if self.passes else 0
        if count < 2:
            return None
        if self._expected is None:
            floor = load_model("copy")
            assert isinstance(floor, InContextModel)
            values, copied = [], []
            for left_out in range(count):
                rest = tuple(p[:left_out] + p[left_out + 1 :] for p in self.passes)
                query = to_tensor(self.passes[0][left_out].input)
                size = (query.shape[1], query.shape[2])
                truths = [resize(to_tensor(p[left_out].output), size) for p in self.passes]
                filled = self._answer_all([query], [rest])[0]
                values.append(self.task.score([f.image for f in filled], truths))
                copies = floor.answer([Prompt(examples, query) for examples in rest])
                copied.append(self.task.score([f.image for f in copies], truths))
            self._expected = ExpectedScore(self.task.metric, tuple(values), tuple(copied))
        return self._expected

    def canvas(self, query: ImageLike, answer: Answer) -> Image.Image:
        """Draw a query and its answer beside the examples, as one grid.

        For engines that fill a canvas this is what they filled; for the others a grid is drawn of
        as many examples as fit, and the answer set into it.
        """
        if answer.canvas is not None:
            return answer.canvas
        side = 448
        shown = self.passes[0][: Layout.largest((side, side))]
        layout = Layout.grid(len(shown), canvas_size=(side, side))
        drawn = self.task.draw_query(to_tensor(query, limit_pixels=self.limit_pixels))
        image = layout.compose(Prompt(shown, drawn)).image
        layout.answer.of(image)[:] = layout.draw(to_tensor(answer.image), layout.answer)
        return to_pil(image)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the prompt, without queries, as one file; atomically.

        Raises:
            PromptFileError: If there are no examples, or the task is not one of vicl's own.
        """
        settings: dict[str, Any] = {
            "seed": self.seed,
            "samples": self.samples,
            "tile": self.tile,
            "upsampling": self.upsampling,
        }
        if isinstance(self.model, CanvasModel):
            model = self.model
            settings |= {
                name: getattr(model, name) for name in ("layout", "fit", "spins", "sampling")
            }
        save_prompt(SavedPrompt(self.model, self.task, self.passes, self.dtype, settings), path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
        any_model: bool = False,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        limit_pixels: int = DEFAULT_LIMIT_PIXELS,
        **settings: Any,
    ) -> VisualPrompter:
        """Open a prompt file.

        Args:
            path: The file.
            model: The engine, where it does not come with the package.
            any_model: Take `model` even if it is not the one the prompt was made with.
            device: See :func:`vicl.load_model`.
            limit_pixels: Of each example, and of the queries to come.
            **settings: Override the file's: seed, samples, sampling, tile, upsampling, fit,
                spins.

        Raises:
            PromptFileError: If the file is broken, too new, or was made with other weights.
        """
        saved = load_prompt(
            path, model=model, any_model=any_model, device=device, limit_pixels=limit_pixels
        )
        chosen = {**saved.settings, **settings}
        prompter = cls(saved.engine, (), saved.task, limit_pixels=limit_pixels, **chosen)
        prompter.dtype = saved.dtype
        prompter.passes = saved.passes
        return prompter

    def _draw(self, examples: Sequence[Example]) -> tuple[tuple[Example, ...], ...]:
        """Draw examples for the task, in 8 bits a channel, as a prompt file keeps them."""

        def eight_bit(image: ImageLike) -> Tensor:
            return to_tensor(to_pil(to_tensor(image)))

        return tuple(
            tuple(Example(eight_bit(e.input), eight_bit(e.output)) for e in drawn)
            for drawn in draw_examples(self.task, examples, limit_pixels=self.limit_pixels)
        )

    def _map(
        self, queries: Iterable[tuple[ImageLike, Any]], batch_size: int, on_error: OnError
    ) -> Iterator[Answer]:
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, expected at least 1")
        numbered = iter(enumerate(queries))
        while batch := list(islice(numbered, batch_size)):
            ready: list[tuple[int, ImageLike, Tensor, Any]] = []
            for index, (query, examples) in batch:
                try:
                    image = to_tensor(query, limit_pixels=self.limit_pixels)
                    own = isinstance(examples[0], Example)
                    passes = self._draw(examples) if own else examples
                    ready.append((index, query, self.task.draw_query(image), passes))
                except (ValueError, OSError) as error:
                    _handle(on_error, query, error)
            yield from self._answer_batch(ready, on_error)

    def _answer_batch(
        self, ready: Sequence[tuple[int, ImageLike, Tensor, Any]], on_error: OnError
    ) -> Iterator[Answer]:
        if not ready:
            return
        try:
            answered = self._answer_all([r[2] for r in ready], [r[3] for r in ready])
        except (ValueError, RuntimeError, MemoryError) as error:
            # One query that an engine cannot answer must not take its neighbours along.
            if len(ready) == 1:
                _handle(on_error, ready[0][1], error)
                return
            for one in ready:
                yield from self._answer_batch([one], on_error)
            return
        for (index, query, _, _), filled in zip(ready, answered, strict=True):
            source = Path(query) if isinstance(query, str | os.PathLike) else None
            yield self._read(filled, index, source)

    def _answer_all(
        self, queries: Sequence[Tensor], passes: Sequence[tuple[tuple[Example, ...], ...]]
    ) -> list[list[Filled]]:
        """Answer drawn queries: for each, one Filled a pass."""
        prompts = [
            Prompt(examples, query)
            for query, drawn in zip(queries, passes, strict=True)
            for examples in drawn
        ]
        tile = self.tile if isinstance(self.tile, int) else None
        if self.tile == "auto" and self.task.is_local and self.samples == 1:
            tile = self.model.max_size
        engine = LargeQueries(self.model, tile, self.upsampling)
        answers = iter(engine.answer(prompts, samples=self.samples, seed=self.seed))
        return [list(islice(answers, len(drawn))) for drawn in passes]

    def _read(self, filled: Sequence[Filled], index: int, source: Path | None) -> Answer:
        """Read the passes' answers to one query as the task does."""
        reading = self.task.read([f.image for f in filled])
        given = [f.confidence for f in filled if f.confidence is not None]
        likelihoods = [float(f.log_likelihood) for f in filled if f.log_likelihood is not None]
        first = filled[0]
        count = min(len(f.alternatives) for f in filled)
        return Answer(
            to_pil(reading.image),
            # Several passes are only as sure as the least sure of them.
            confidence=torch.stack(given).amin(dim=0).numpy()
            if len(given) == len(filled)
            else None,
            likelihood=sum(likelihoods) if len(likelihoods) == len(filled) else None,
            mask=reading.mask,
            scores=reading.scores,
            classes=self.task.classes,
            boxes=reading.boxes,
            edges=reading.edges,
            cell=None if first.cell is None else to_pil(first.cell),
            canvas=None if first.canvas is None else to_pil(first.canvas),
            alternatives=tuple(
                self._read([f.alternatives[i] for f in filled], index, source) for i in range(count)
            ),
            index=index,
            source=source,
        )


def predict(
    query: ImageLike,
    examples: Iterable[ExampleLike],
    task: str | Task = "image",
    *,
    model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
    **options: Any,
) -> Answer:
    """Answer one query by examples.

    Args:
        query: The new image.
        examples: (input, output) pairs, at least one.
        task: See :class:`VisualPrompter`, which also says what `options` there are.
        model: An engine; None picks the one that measured best for the task.
        **options: Keyword arguments of :class:`VisualPrompter`.
    """
    return VisualPrompter(model, as_examples(examples), task, **options).predict(query)


def _folder(folder: str | os.PathLike[str]) -> list[Path]:
    found = find_images(folder)
    if not found:
        raise ValueError(f"queries: no image files in folder {os.fspath(folder)!r}")
    return found


def _handle(on_error: OnError, query: Any, error: Exception) -> None:
    if on_error == "raise":
        raise error
    if on_error == "skip":
        log.warning("skipped: %s", error)
    else:
        on_error(query, error)
