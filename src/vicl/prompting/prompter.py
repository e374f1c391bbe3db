"""VisualPrompter: examples once, queries without end.

It draws the examples as its task says, shows each query to an engine (whole, or in tiles), brings
the answer to the query's size and reads it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor

from vicl.engine import Filled, InContextModel, Inpainter, PartialModel
from vicl.exports.answers import Answer, as_annotation
from vicl.exports.overlay import overlay
from vicl.images import (
    DEFAULT_LIMIT_PIXELS,
    ImageLike,
    brief,
    to_pil,
)
from vicl.loading import load_model
from vicl.models.devices import arithmetic_of, pick_dtype
from vicl.prompt import Example, ExampleLike, Prompt, as_examples
from vicl.prompting.annotated import named_classes, pool_classes, with_shapes
from vicl.prompting.asking import as_engine, best_model, check_agree, learned_of, taken_apart
from vicl.prompting.automatic import SECONDS, Candidate, Choice, choose_by_itself
from vicl.prompting.batching import AT_ONCE, FAULTS, answers, unbroken
from vicl.prompting.border import Border
from vicl.prompting.depth import open_query, white_of
from vicl.prompting.drawing import Drawn, Passes, drawn_passes, on_grid, unseen
from vicl.prompting.expected import ExpectedScore, left_out
from vicl.prompting.prompt_file import SavedPrompt, describe_prompt, load_prompt, save_prompt
from vicl.prompting.queries import OnError, counted, files_of, handle, in_folder
from vicl.prompting.reading import read_answer
from vicl.prompting.settings import PromptSettings
from vicl.prompting.task_vectors import TaskVectors
from vicl.selection.entry import Entry
from vicl.selection.selectors import Selector, chosen
from vicl.tasks import Boxes, Task, get_task
from vicl.tasks.masks import ClassesLike
from vicl.tasks.segmentation import SegmentationTask


class VisualPrompter:
    """Answers queries by examples.

    Args:
        model: An engine, an inpainter, or what :func:`vicl.load_model` takes; None picks the
            engine that measured best for the task.
        examples: (input, output) pairs; or what chooses them for each query
            (:mod:`vicl.selection`). May be left out if only :meth:`map_prompts` is used.
        task: "image", "segmentation", "detection", "edges" or "colorization", or a task object.
        classes: Names of the classes, and what marks them; see
            :meth:`vicl.tasks.masks.Classes.parse`. None: as files of annotations name those that
            the examples show, else one "object".
        palette: Segmentation: all classes in one prompt, by colours.
        boxes: Detection: read each class's "largest" box, or "all" of them, largest first.
        device: Passed to :func:`vicl.load_model` if `model` is a name.
        dtype: Likewise.
        limit_pixels: Files with more pixels are refused.
        border: A learned border, its file or its run's folder; see :mod:`vicl.prompting.border`.
        vectors: Likewise task vectors, with which examples may be left out; see
            :mod:`vicl.prompting.task_vectors`.
        auto: Choose engine, views and a pool's examples among what is not given, by leaving one
            out for 60 or so many seconds; see :mod:`vicl.prompting.automatic`.
        **settings: How it is asked, such as `seed`, `samples`, `tile` or `arrangements`: the
            fields of :class:`vicl.prompting.settings.PromptSettings`, which says what they are.

    Attributes:
        model: What answers, as it was loaded.
        learned: The border or the task vectors; None without.
        settings: How it is asked.
        task: How annotations are drawn and read.
        passes: For each pass of the task, the examples as the engine sees them; none where each
            query has its own.
        selector: What chooses each query's examples; None where all have the same.
        choice: What was chosen and tried; None where `auto` was not asked for.

    Raises:
        ValueError: If an option or an example is wrong; the message says which and what to do.
        TypeError: If there is no setting of a name.
        vicl.ImageError: If an example cannot be opened.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
        examples: Iterable[ExampleLike] | Selector = (),
        task: str | Task = "image",
        *,
        classes: ClassesLike = None,
        palette: bool = False,
        boxes: Boxes = "largest",
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        dtype: str = "auto",
        limit_pixels: int = DEFAULT_LIMIT_PIXELS,
        border: Border | str | os.PathLike[str] | None = None,
        vectors: TaskVectors | str | os.PathLike[str] | None = None,
        auto: bool | float = False,
        **settings: Any,
    ) -> None:
        PromptSettings.of(settings)  # refuses what cannot be before anything is loaded
        pick_dtype(dtype)
        self.selector = examples if isinstance(examples, Selector) else None
        shown: tuple[Example, ...] = ()
        if isinstance(examples, Selector):
            classes = pool_classes(examples.pool, task, classes)
        else:
            given = list(examples) if not isinstance(examples, str | Example) else examples
            shown = with_shapes(as_examples(given)) if given else ()
            classes = named_classes(shown, task, classes)
        self.task = get_task(task, classes=classes, palette=palette, boxes=boxes)
        self.choice: Choice | None = None
        if auto:
            plain = {"device": device, "dtype": dtype, "limit_pixels": limit_pixels}
            plain |= {"border": border, "vectors": vectors}

            def make(one: Candidate) -> VisualPrompter:
                how = {**plain, **settings, **one.settings}
                return VisualPrompter(one.model or model, one.selector or shown, self.task, **how)

            self.choice = choose_by_itself(
                make,
                self.selector or shown,
                settings=settings,
                any_engine=model is None and border is None and vectors is None,
                seconds=SECONDS if auto is True else auto,
                limit_pixels=limit_pixels,
            )
            model = self.choice.candidate.model or model
            settings |= self.choice.candidate.settings
            self.selector = self.choice.candidate.selector
        if model is None:
            model = best_model(self.task, device=device, dtype=dtype)
        if isinstance(model, str | os.PathLike):
            model = load_model(model, device=device, dtype=dtype)
        self.learned = learned_of(border, vectors)
        self.model, own = taken_apart(model)
        if isinstance(self.task, SegmentationTask) and isinstance(self.model, PartialModel):
            self.task = replace(self.task, unknown=True)
        self.settings = PromptSettings.of({**own, **settings})
        self._engine = as_engine(self.model, self.settings, self.task, learned=self.learned)
        self.dtype = arithmetic_of(self.model) if dtype == "auto" else dtype
        self.limit_pixels = limit_pixels
        self.passes: Passes = ()
        if shown:
            drawn = self._drawn(shown)
            self.passes = drawn.passes
            self.settings = self.settings.changed({"white": drawn.white})
        elif isinstance(self.learned, TaskVectors):
            self.passes = unseen(self.task)
        check_agree(self._engine, self.example_count)
        self._expected: ExpectedScore | None = None
        self._last: tuple[list[Entry], Drawn] | None = None

    def __repr__(self) -> str:
        return f"VisualPrompter({self.model!r}, {self.example_count} examples, {self.task.name!r})"

    def predict(self, query: ImageLike) -> Answer:
        """Answer one query.

        Raises:
            vicl.ImageError: If it cannot be opened.
            ValueError: If it is several: :meth:`map` takes those.
        """
        several = isinstance(query, list | tuple) or (
            isinstance(query, str | os.PathLike) and Path(query).is_dir()
        )
        if several:
            raise ValueError(
                f"query: got {brief(query)}, expected one image; for several, or a folder, say "
                "for answer in prompter.map(...)"
            )
        return next(iter(self.map([query], batch_size=1, on_error="raise")))

    def map(
        self,
        queries: str | os.PathLike[str] | Iterable[ImageLike],
        *,
        batch_size: int = AT_ONCE,
        on_error: OnError = "skip",
        progress: bool = False,
    ) -> Iterator[Answer]:
        """Answer many queries, in order, as they come.

        Args:
            queries: A folder (searched with its subfolders), or any iterable of images; it may be
                endless, since at most `batch_size` of them are held at a time.
            batch_size: Canvases that go through an inpainter at once, whatever queries, tiles and
                views they are of; of other engines queries. Bounds the memory, is halved where a
                device has too little of it, and makes no difference to the answers.
            on_error: What to do with a query that cannot be opened or answered: "skip" logs it and
                goes on, "raise" raises, a function is called with the query and the error. An
                answer's `index` and `source` say which query it belongs to.
            progress: Show how many are answered, and where their number is known how long it will
                take.
        """
        shown = self.selector or self.passes
        if not shown:
            raise ValueError("examples: none were given; map_prompts takes prompts with their own")
        if isinstance(queries, str | os.PathLike):
            queries = in_folder(queries)
        found = self._map(((query, shown) for query in queries), batch_size, on_error)
        return counted(found, queries) if progress else found

    def map_prompts(
        self,
        prompts: Iterable[Prompt],
        *,
        batch_size: int = AT_ONCE,
        on_error: OnError = "skip",
    ) -> Iterator[Answer]:
        """Answer prompts that each bring examples of their own; see :meth:`map`."""
        drawn = ((prompt.query, prompt.examples) for prompt in prompts)
        return self._map(drawn, batch_size, on_error)

    def expected_score(self, *, check: Callable[[], None] = lambda: None) -> ExpectedScore | None:
        """Measure the prompt on its own examples, by leaving one out; None for a single example.

        Each example is answered as a query with the others as its examples, and compared with its
        own annotation as drawn. Computed once, then kept. What `check` raises before one ends it.
        """
        count = len(self.passes[0]) if self.passes else 0
        if count < 2:
            return None
        if self._expected is None:
            copy = as_engine(load_model("copy"), PromptSettings(), self.task)
            found: list[float] = []
            for place in range(2 * count):
                check()
                engine = self._engine if place < count else copy
                found.append(self._left_out(engine, self.passes, place % count))
            values, copied = tuple(found[:count]), tuple(found[count:])
            self._expected = ExpectedScore(self.task.metric, values, copied)
        return self._expected

    def score(self, examples: Sequence[Example], truth: Example) -> float:
        """Answer an example as a query by others, and compare with its own annotation as drawn.

        In the task's metric; more is better.
        """
        shown = (truth, *examples)
        drawn = self._drawn(shown)
        passes, white = drawn.passes, drawn.white
        if isinstance(self.task, SegmentationTask):  # what nobody says counts for no engine
            task, limit = replace(self.task, unknown=True), self.limit_pixels
            own = drawn_passes((truth,), task, white, limit_pixels=limit)
            passes = tuple((one, *rest[1:]) for (one,), rest in zip(own, passes, strict=True))
        return self._left_out(self._engine, passes, 0)

    def _left_out(self, engine: InContextModel, passes: Passes, index: int) -> float:
        return left_out(passes, index, self.task, lambda prompts: self._ask(engine, prompts))

    def canvas(self, query: ImageLike, answer: Answer) -> Image.Image:
        """Draw a query and its answer beside the examples, as one grid.

        For engines that fill a canvas this is what they filled; for the others a grid is drawn of
        as many examples as fit, and the answer set into it.
        """
        if answer.canvas is not None:
            return answer.canvas
        passes = self._chosen(self.selector, query).passes if self.selector else self.passes
        opened, _ = open_query(query, self.settings.white, self.task, self.limit_pixels, halve=True)
        return on_grid(passes[0], opened, answer.drawn)

    def overlay(self, query: ImageLike, answer: Answer) -> Image.Image:
        """Draw a query with its mask and boxes over it; see :func:`vicl.exports.overlay`.

        Raises:
            ValueError: If the answer has neither.
        """
        if not answer.classes:
            raise ValueError(f"overlay: a {self.task.name} answer has neither a mask nor boxes")
        opened, _ = open_query(query, self.settings.white, self.task, self.limit_pixels)
        shown = to_pil(opened) if isinstance(opened, Tensor) else Image.fromarray(opened)
        return overlay(shown, as_annotation("query", answer))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the prompt, without queries, as one file; atomically.

        Of a pool a reference is kept: where it is, if that is below the file's folder, and what is
        in it.

        Raises:
            PromptFileError: If there are no examples, the task is not one of vicl's own, or the
                pool is no folder or file.
        """
        save_prompt(self._saved(), path)

    def made_by(self) -> dict[str, Any]:
        """What answers depend on beside the query, as plain values, to be kept with answers.

        Task, classes, model, settings, and a hash of the examples, or of the pool that they are
        chosen from, and how: prompters of which these are equal answer alike.
        """
        found = describe_prompt(self._saved())
        if self.selector is not None:
            pool = self.selector.pool.fingerprint
            found["examples"] = {"pool": pool, **self.selector.describe()}
        return found

    def _saved(self) -> SavedPrompt:
        return SavedPrompt(
            self.model,
            self.task,
            self.passes,
            self.dtype,
            self.settings,
            self.learned,
            self.selector,
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
        any_model: bool = False,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        limit_pixels: int = DEFAULT_LIMIT_PIXELS,
        pool: str | os.PathLike[str] | None = None,
        index: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> VisualPrompter:
        """Open a prompt file.

        Args:
            path: The file.
            model: The engine, where it does not come with the package.
            any_model: Take `model` even if it is not the one the prompt was made with.
            device: See :func:`vicl.load_model`.
            limit_pixels: Of each example, and of the queries to come.
            pool: Where its examples are chosen from, if that is not below the file's own folder.
            index: Where the index of that is, if not beside it.
            **settings: Override the file's; see :class:`vicl.prompting.settings.PromptSettings`.

        Raises:
            PromptFileError: If the file is broken, too new, or was made with other weights; or if
                its pool is gone or was changed.
        """
        own: dict[str, object] = {}
        if model is not None and not isinstance(model, str | os.PathLike):
            model, own = taken_apart(model)
        saved = load_prompt(
            path,
            model=model,
            any_model=any_model,
            device=device,
            limit_pixels=limit_pixels,
            pool=pool,
            index=index,
        )
        chosen = saved.settings.changed({**own, **settings}).given()
        which = "vectors" if isinstance(saved.learned, TaskVectors) else "border"
        kept: dict[str, Any] = {"limit_pixels": limit_pixels, which: saved.learned}
        prompter = cls(saved.engine, saved.selector or (), saved.task, **kept, **chosen)
        prompter.dtype = saved.dtype
        prompter.passes = saved.passes
        check_agree(prompter._engine, prompter.example_count)
        return prompter

    @property
    def example_count(self) -> int:
        """How many examples a query has, at most; 0 where each prompt brings its own."""
        if self.selector is not None:
            return self.selector.examples * len(self.selector.pool.asked or "1")
        return len(self.passes[0]) if self.passes else 0

    def _white(self, examples: Sequence[Example]) -> float | None:
        """The white of deep images: as it was set, or as the examples say."""
        return self.settings.white or white_of(examples, self.task, limit_pixels=self.limit_pixels)

    def _chosen(self, selector: Selector, query: ImageLike) -> Drawn:
        """A query's examples; those that the query before it had too are not drawn again."""
        entries, last = chosen(selector, query), self._last
        if last is None or last[0] != entries:
            self._last = last = entries, self._drawn([entry.example() for entry in entries])
        return last[1]

    def _drawn(self, examples: Sequence[Example]) -> Drawn:
        white = self._white(examples)
        passes = drawn_passes(examples, self.task, white, limit_pixels=self.limit_pixels)
        return Drawn(passes, white, files_of(examples))

    def _map(
        self, queries: Iterable[tuple[ImageLike, Any]], batch_size: int, on_error: OnError
    ) -> Iterator[Answer]:
        """Answer queries, each with drawn passes, examples of its own or what chooses them."""
        asked: deque[tuple[int, ImageLike, int, tuple[Path, ...]]] = deque()

        def prompts() -> Iterator[Prompt]:
            for index, (query, examples) in enumerate(queries):
                try:
                    if isinstance(examples, Selector):
                        shown = self._chosen(examples, query)
                    elif isinstance(examples[0], Example):
                        shown = self._drawn(examples)
                    else:
                        shown = Drawn(examples, self.settings.white)
                    shown.settle()
                    image, size = open_query(
                        query, shown.white, self.task, self.limit_pixels, halve=self._engine.halves
                    )
                except (ValueError, OSError) as error:
                    handle(on_error, query, error)
                    continue
                asked.append((index, query, len(shown.passes), shown.files))
                waiting = deque(Prompt(drawn, image, size) for drawn in shown.passes)
                del image  # it may be large, and is to live no longer than its prompts
                while waiting:
                    yield waiting.popleft()

        found = self._ask(self._engine, prompts(), batch_size)
        for first in found:
            index, query, passes, shown = asked.popleft()
            try:
                filled = unbroken([first, *islice(found, passes - 1)])
                source = Path(query) if isinstance(query, str | os.PathLike) else None
                answer = read_answer(
                    filled,
                    self.task,
                    instances=self.settings.instances,
                    index=index,
                    source=source,
                    examples=shown,
                )
            except FAULTS as error:
                handle(on_error, query, error)
                continue
            del first, filled
            yield answer
            del answer  # it may be large, and its successor is to be made without it

    def _ask(
        self, engine: InContextModel, prompts: Iterable[Prompt], batch_size: int = AT_ONCE
    ) -> Iterator[Filled | Exception]:
        how = self.settings
        return answers(engine, prompts, samples=how.samples, seed=how.seed, batch_size=batch_size)
