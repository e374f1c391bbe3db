"""Answers to the project's images: one worker, the open image first, newer work before older."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from vicl.engine import InContextModel, Inpainter
from vicl.exports.answers import count_objects
from vicl.images import ImageError
from vicl.prompting.asking import best_model
from vicl.prompting.prompter import VisualPrompter
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
from vicl.server.schemas import AnswerFacts, HistoryEntry, MarkedBox, Score
from vicl.server.worker import Urgency, Worker
from vicl.tasks import get_task

log = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "mps"]
_T = TypeVar("_T")


class Answering:
    """Owns the models and the prompter; its methods with work in them run in the worker.

    Args:
        project: Whose images.
        worker: What runs it.
        events: Told of answers.
        device: Where models run.
    """

    def __init__(
        self, project: Project, worker: Worker, events: Events, *, device: Device = "auto"
    ) -> None:
        self.project, self.worker, self.events, self.device = project, worker, events, device
        self._models: dict[str, InContextModel | Inpainter] = {}
        self._prompter: tuple[str, VisualPrompter] | None = None
        self._scores: dict[str, Score] = {}
        self._history: list[HistoryEntry] = []
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
            if state is None and first is None and not others:
                raise Refusal(409, f"There is no example yet: {needed(self.project)}.")
        wanted = ([] if first is None else [first]) + others
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

    def score(self) -> Score:
        """The expected score of the present prompt; waits for it."""
        state = prompt_state(self.project)
        count = 0 if state is None else len(state.examples)
        if state is None or count < 2:
            return Score(needs="two examples", examples=count)
        if state.key in self._scores:
            return self._scores[state.key]
        return self.run(Urgency.LATER, partial(self._score, state))

    def run(self, urgency: Urgency, work: Callable[[], _T]) -> _T:
        """Have something done in the worker, and wait for it."""
        return self.worker.submit(urgency, work).result()

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

    def prompter(self) -> tuple[PromptState, VisualPrompter]:
        """The prompter of the present prompt; the models, and what they have seen, are kept.

        Raises:
            Refusal: If there is no example.
            ValueError: If an example, the engine or a setting cannot be used.
        """
        with self.project.lock:
            state = prompt_state(self.project)
            if state is None:
                raise Refusal(409, f"There is no example yet: {needed(self.project)}.")
            if self._prompter is not None and self._prompter[0] == state.key:
                return state, self._prompter[1]
            examples = [example_of(self.project, image) for image in state.examples]
            file = self.project.file
        made = VisualPrompter(
            self.model(file.engine), examples, **task_options(file), **file.settings
        )
        self._prompter = state.key, made
        return state, made

    def model(self, name: str | None) -> InContextModel | Inpainter:
        """An engine by its name, loaded once; None is the best for the task."""
        from vicl.loading import load_model

        task = self.project.file.task
        kept = f"best for {task}" if name is None else name
        if kept not in self._models:
            self._models[kept] = (
                best_model(get_task(task), device=self.device, dtype="auto")
                if name is None
                else load_model(name, device=self.device)
            )
        return self._models[kept]

    def _one(self, image: str, asked: int, number: int, total: int, started: float) -> None:
        """Answer an image, if nothing newer was asked since."""
        if asked != self._round:
            return
        try:
            facts = self.answer(image)
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
            self.events.tell("answer", id=image, revision=facts.prompt_revision)
        left = (time.monotonic() - started) / number * (total - number)
        self.events.tell("progress", done=number, total=total, seconds_left=round(left, 1))

    def answer(self, image: str) -> AnswerFacts:
        """Answer an image and keep the answer."""
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
        self.project.keep_answer(image, facts, png(picture), levels)
        return facts

    def _hinted(self, image: str, started: float) -> AnswerFacts:
        """Colour an image by its hints; of an example that is its output picture too."""
        with self.project.lock:
            key = answer_key(self.project, image, None) or ""
            edits = self.project.edits(image)
            strokes = edits.hints()
        picture = png(by_hints(self.project.path(image), edits.size, strokes))
        seconds = round(time.monotonic() - started, 3)
        facts = AnswerFacts(prompt_revision=key, seconds=seconds, engine=ENGINE)
        self.project.keep_answer(image, facts, picture, None)
        if self.project.status(image).example:
            self.project.keep_output(image, picture)
        return facts

    def show_hinted(self, image: str) -> None:
        """Make what the hints of an image make of it its output picture."""
        self.answer(image)
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

    def _score(self, state: PromptState) -> Score:
        started = time.monotonic()
        now, prompter = self.prompter()
        found = prompter.expected_score()
        if found is None:
            return Score(needs="two examples", examples=len(now.examples))
        interval = found.interval
        if not self._history or self._history[-1].examples != len(now.examples):
            self._history.append(
                HistoryEntry(examples=len(now.examples), expected=round(interval.mean, 4))
            )
        score = Score(
            metric=found.metric,
            examples=len(now.examples),
            expected=round(interval.mean, 4),
            low=round(interval.low, 4),
            high=round(interval.high, 4),
            copy_=round(float(np.mean(found.copy)), 4),
            history=tuple(self._history),
            seconds=round(time.monotonic() - started, 2),
        )
        self._scores[now.key] = score
        return score


def needed(project: Project) -> str:
    """What a first example needs, for the task."""
    if project.file.task in MARKED:
        return "mark a part of one image"
    if project.file.task == "colorization":
        return "say which image is the example"
    return "give one image its output picture"


def _gray(values: np.ndarray) -> Image.Image:
    return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
