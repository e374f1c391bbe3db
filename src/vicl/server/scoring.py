"""The expected score by leaving one example out, and how it moved; kept in the project's folder."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np

from vicl.files import FileError
from vicl.server.answering import Answering, Superseded
from vicl.server.problems import Refusal
from vicl.server.prompts import PromptState, prompt_state
from vicl.server.records import ScoreFile, ScoreOf
from vicl.server.schemas import HistoryEntry, Score
from vicl.server.worker import Urgency

_MOST_KEPT: Final = 1000
"""Figures of the history."""


class Scoring:
    """Works the score out, once a prompt.

    Args:
        answering: Who has the prompter.
    """

    def __init__(self, answering: Answering) -> None:
        self.answering, self.project = answering, answering.project

    def score(self) -> Score:
        """The expected score of the present prompt; waits for it.

        Raises:
            Refusal: If the examples changed meanwhile.
            ValueError: If it cannot be worked out.
        """
        state = prompt_state(self.project)
        count = 0 if state is None else len(state.examples)
        if state is None or count < 2:
            return Score(needs="two examples", examples=count)
        kept = self._kept(state)
        if kept is not None:
            return kept
        try:
            return self.answering.run(Urgency.LATER, partial(self._score, state))
        except Superseded as error:
            raise Refusal(
                409, "The examples changed while their score was worked out; ask again."
            ) from error

    def _kept(self, state: PromptState) -> Score | None:
        with self.project.lock:
            file = self.project.scores()
            if file.prompt != state.key or file.score is None:
                return None
            return self._with_history(file.score, file)

    def _score(self, state: PromptState) -> Score:
        kept = self._kept(state)  # another may have asked for it, too
        if kept is not None:
            return kept
        started = time.monotonic()
        now, prompter = self.answering.prompter()
        if now != state:
            raise Superseded
        found = prompter.expected_score(check=self.answering.checking(state))
        assert found is not None
        interval, count = found.interval, len(state.examples)
        score = Score(
            metric=found.metric,
            examples=count,
            expected=round(interval.mean, 4),
            low=round(interval.low, 4),
            high=round(interval.high, 4),
            copy_=round(float(np.mean(found.copy)), 4),
            seconds=round(time.monotonic() - started, 2),
        )
        with self.project.lock:
            if prompt_state(self.project) != state:
                raise Superseded
            file = self.project.file
            this = ScoreOf(
                task=file.task, engine=file.engine, examples=count, expected=round(interval.mean, 4)
            )
            known = list(self.project.scores().history)
            last = next((one for one in reversed(known) if one.likewise(this)), None)
            if last is not None and last.examples == count:  # the same ones, marked otherwise
                known = [one for one in known if one is not last]
            kept_file = ScoreFile(
                prompt=state.key, score=score, history=tuple([*known, this][-_MOST_KEPT:])
            )
            with suppress(FileError):  # a folder that is only looked at
                self.project.keep_scores(kept_file)
            return self._with_history(score, kept_file)

    def _with_history(self, score: Score, file: ScoreFile) -> Score:
        """A score with the figures that were measured likewise."""
        now = self.project.file
        history = tuple(
            HistoryEntry(examples=one.examples, expected=one.expected)
            for one in file.history
            if (one.task, one.engine) == (now.task, now.engine)
        )
        return score.model_copy(update={"history": history})
