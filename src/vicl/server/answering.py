"""Answers to the project's images: one worker, the open image first, newer work before older."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from vicl.engine import Inpainter
from vicl.exports.answers import count_objects
from vicl.images import ImageError
from vicl.prompt import Example
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.settings import PromptSettings
from vicl.server.engines import Engines
from vicl.server.events import Events
from vicl.server.hinting import ENGINE, by_hints
from vicl.server.problems import Refusal
from vicl.server.project import Project, png
from vicl.server.prompts import (
    MARKED,
    PromptState,
    answer_key,
    as_ids,
    boxes_as_ids,
    example_of,
    prompt_state,
    task_options,
)
from vicl.server.schemas import AnswerFacts, MarkedBox
from vicl.server.worker import Urgency, Worker
from vicl.tasks.labels import Labels

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Superseded(Exception):  # noqa: N818 - it is no fault of the program
    """What was being worked out is not wanted any more."""


class Answering:
    """Owns the prompter; its methods with work in them run in the worker.

    Args:
        project: Whose images.
        worker: What runs it.
        events: Told of answers.
        engines: What answers.
    """

    def __init__(self, project: Project, worker: Worker, events: Events, engines: Engines) -> None:
        self.project, self.worker, self.events, self.engines = project, worker, events, engines
        self._prompter: tuple[str, VisualPrompter] | None = None
        self._round = 0

    # --- from any thread

    def ask(self, scope: Literal["open", "all"], first: str | None) -> int:
        """Have images answered that have no answer by the present prompt; gives how many.

        What was asked before and is not begun is dropped.
        """
        self.cancel()
        with self.project.lock:
            now, state = self._round, prompt_state(self.project)
            if first is not None:
                self.project.whole(first)
                if answer_key(self.project, first, state) is None:
                    first = None
            others = [] if scope == "open" else self._others(state, first)
            wanted = ([] if first is None else [first]) + others
            if state is None and not wanted:
                raise Refusal(409, f"There is no example yet: {needed(self.project)}.")
            if (question := self.engines.asks()) is not None:
                wanted = [image for image in wanted if self.project.is_hinted(image)]
                if not wanted:
                    raise Refusal(409, question)
        started = time.monotonic()
        for number, image in enumerate(wanted, start=1):
            urgency = Urgency.OPEN if image == first else Urgency.OTHERS
            work = partial(self._one, image, now, number, len(wanted), started)
            self.worker.submit(urgency, work)
        return len(wanted)

    def cancel(self) -> None:
        """Drop what was asked and is not begun."""
        with self.project.lock:
            self._round += 1

    def drop(self) -> None:
        """Drop it, and tell the pages that nothing is under way."""
        self.cancel()
        self.events.tell("progress", done=0, total=0, seconds_left=0)

    def run(self, urgency: Urgency, work: Callable[[], _T]) -> _T:
        """Have something done in the worker, and wait for it.

        Raises:
            Refusal: If the server ends before it is begun.
        """
        try:
            return self.worker.submit(urgency, work).result()
        except CancelledError as error:
            raise Refusal(503, "The vicl server is ending; start it again.") from error

    def _others(self, state: PromptState | None, first: str | None) -> list[str]:
        """The other images that lack their answer; what a person accepted stays."""
        found = []
        for image, entry in self.project.images.items():
            if image == first or entry.broken is not None:
                continue
            if self.project.status(image).status in ("accepted", "nothing"):
                continue
            facts, key = self.project.facts(image), answer_key(self.project, image, state)
            if key is not None and (facts is None or facts.prompt_revision != key):
                found.append(image)
        return found

    # --- in the worker

    def warm(self) -> None:
        """Load the engine, and have it answer something small once; whatever fails is told later.

        Nothing is loaded that a person has to let in.
        """
        if self.engines.asks() is not None:
            return
        side = 64
        file = self.project.file
        photo = Image.fromarray(
            np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
        )
        output: Labels | Image.Image = photo
        if file.task in MARKED:
            half = np.arange(side * side).reshape(side, side) < side * side // 2
            output = Labels(half.astype(np.uint8), np.zeros((side, side), bool))
        try:
            model = self.engines.get(file.engine)
            VisualPrompter(model, [Example(photo, output)], file.task).predict(photo)
        except (Refusal, ValueError, OSError, RuntimeError) as error:
            log.info("the engine could not be tried beforehand", exc_info=error)

    def prompter(self) -> tuple[PromptState, VisualPrompter]:
        """The prompter of the present prompt, which is kept.

        Raises:
            Refusal: If there is no example.
            ValueError: If an example, the engine or a setting cannot be used.
        """
        while True:
            with self.project.lock:
                state = prompt_state(self.project)
                if state is None:
                    raise Refusal(409, f"There is no example yet: {needed(self.project)}.")
                if self._prompter is not None and self._prompter[0] == state.key:
                    return state, self._prompter[1]
                engine = self.project.file.engine
            with suppress(Superseded):  # by a stroke just now: what it makes is asked for
                made = self.prompter_by(engine, state)
                self._prompter = state.key, made
                return state, made

    def prompter_by(self, engine: str | None, state: PromptState) -> VisualPrompter:
        """A prompter of a prompt's examples and settings by an engine, whatever the project's is.

        Settings of canvases are for engines that have one.

        Raises:
            Refusal: If nobody let the engine in.
            Superseded: If the prompt is another by now.
            ValueError: As :meth:`prompter`.
        """
        with self.project.lock:
            if prompt_state(self.project) != state:
                raise Superseded
            examples = [example_of(self.project, image) for image in state.examples]
            file = self.project.file
        model = self.engines.get(engine)
        settings = PromptSettings.of(file.settings)
        if not isinstance(model, Inpainter):
            settings = settings.without_canvas()
        return VisualPrompter(model, examples, **task_options(file), **settings.given())

    def checking(
        self, state: PromptState, wanted: Callable[[], bool] = lambda: True
    ) -> Callable[[], None]:
        """What long work calls between its steps: more urgent work goes first.

        It raises :class:`Superseded` once the prompt is another, or the work is not wanted.
        """

        def check() -> None:
            self.worker.let_through(Urgency.LATER)
            if self.worker.ended or not wanted() or prompt_state(self.project) != state:
                raise Superseded

        return check

    def _one(self, image: str, asked: int, number: int, total: int, started: float) -> None:
        """Answer an image, if nothing newer was asked since."""
        if asked != self._round:
            return
        if answer_key(self.project, image, prompt_state(self.project)) is None:
            if number == total:  # the last example, or these hints, were taken back
                self.drop()
            return
        try:
            facts = self.answer(image)
        except Superseded:
            return
        except (Refusal, ValueError, OSError) as error:
            if isinstance(error, ImageError):
                self.project.break_(image, error)
            self.events.tell("error", id=image, detail=str(error))
        except Exception as error:
            log.error("an answer failed", exc_info=error)
            self.events.tell(
                "error", id=image, detail=f"The engine failed ({type(error).__name__}: {error})."
            )
        else:
            self.events.tell(
                "answer",
                id=image,
                revision=facts.prompt_revision,
                confidence=facts.confidence,
                presence=facts.presence,
            )
        left = (time.monotonic() - started) / number * (total - number)
        self.events.tell("progress", done=number, total=total, seconds_left=round(left, 1))

    def answer(self, image: str) -> AnswerFacts:
        """Answer an image and keep the answer.

        Raises:
            Superseded: If the task changed, or the hints were taken back, meanwhile.
        """
        started = time.monotonic()
        if self.project.is_hinted(image):
            return self._hinted(image, started)
        state, prompter = self.prompter()
        answer = prompter.predict(self.project.path(image))
        confidence = answer.confidence
        facts = AnswerFacts(
            prompt_revision=state.key,
            confidence=None if confidence is None else round(float(confidence.mean()), 4),
            presence=None if answer.presence is None else round(answer.presence, 4),
            objects=sum(count_objects(answer).values()) if answer.classes else None,
            seconds=round(time.monotonic() - started, 3),
            engine=prompter.model.name,
            canvas=answer.canvas is not None,
            boxes=tuple(
                MarkedBox(class_=state.classes[one.label - 1], box=one.box, score=one.score)
                for one in answer.boxes
            ),
        )
        picture = answer.image
        if prompter.task.name == "detection":
            picture = Image.fromarray(boxes_as_ids(facts.boxes, answer.size))
        if answer.mask is not None:
            picture = Image.fromarray(as_ids(state.classes, answer.mask))
        levels = None if confidence is None else png(_gray(confidence))
        data = png(picture)
        with self.project.lock:
            if self.project.file.task != prompter.task.name:
                raise Superseded
            self.project.keep_answer(image, facts, data, levels)
        return facts

    def _hinted(self, image: str, started: float) -> AnswerFacts:
        """Colour an image by its hints; of an example that is its output picture too."""
        with self.project.lock:
            key = answer_key(self.project, image, None)
            edits = self.project.edits(image)
            strokes = edits.hints()
        if key is None:
            raise Superseded
        picture = png(by_hints(self.project.path(image), edits.size, strokes))
        seconds = round(time.monotonic() - started, 3)
        facts = AnswerFacts(prompt_revision=key, seconds=seconds, engine=ENGINE)
        with self.project.lock:
            if not self.project.is_hinted(image):
                raise Superseded
            self.project.keep_answer(image, facts, picture, None)
            if self.project.status(image).example:
                self.project.keep_output(image, picture)
        return facts

    def show_hinted(self, image: str) -> None:
        """Make what the hints of an image make of it its output picture.

        Raises:
            Refusal: If they were taken back meanwhile.
        """
        try:
            self._hinted(image, time.monotonic())
        except Superseded as error:
            raise Refusal(409, "The hints were taken back meanwhile.") from error
        answer = self.project.file_of(image, "answer.png")
        self.project.keep_output(image, answer.read_bytes())

    def canvas(self, image: str) -> bytes:
        """What the model saw, as PNG.

        Raises:
            Refusal: If the engine has no canvas.
        """
        _, prompter = self.prompter()
        answer = prompter.predict(self.project.path(image))
        if answer.canvas is None:
            raise Refusal(
                404, f"The engine {prompter.model.name} has no canvas: it looks at the pictures."
            )
        return png(answer.canvas)


def needed(project: Project) -> str:
    """What a first example needs, for the task."""
    if project.file.task in MARKED:
        return "mark a part of one image"
    if project.file.task == "colorization":
        return "say which image is the example"
    return "give one image its output picture"


def _gray(values: np.ndarray) -> Image.Image:
    return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
