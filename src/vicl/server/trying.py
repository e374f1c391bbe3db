"""All engines tried on the project's own examples, by leaving one out."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from vicl.server.answering import Answering, Superseded
from vicl.server.problems import Refusal
from vicl.server.prompts import PromptState, prompt_state
from vicl.server.schemas import Trial, TriedEngine
from vicl.server.worker import Urgency

log = logging.getLogger(__name__)

_SECONDS: Final = 1.0
"""Guess of an answer's time, until one was measured."""


class Trying:
    """Tries engines; the last trial that was begun is the one that goes on.

    Args:
        answering: Who builds prompters.
    """

    def __init__(self, answering: Answering) -> None:
        self.answering, self.project = answering, answering.project
        self._round = 0

    def estimate(self) -> Trial:
        """How long trying takes, judged by how long each engine's answers took here."""
        state = prompt_state(self.project)
        count = 0 if state is None else len(state.examples)
        facts = [self.project.facts(image) for image in list(self.project.images)]
        known = [(one.engine, one.seconds) for one in facts if one is not None and one.seconds > 0]
        guess = sum(seconds for _, seconds in known) / len(known) if known else _SECONDS
        found = []
        for name in self.answering.engines.tried():
            own = [seconds for engine, seconds in known if engine == _called(name)]
            each = sum(own) / len(own) if own else guess
            found.append(TriedEngine(name=name, seconds=round(each * count, 1), measured=bool(own)))
        return Trial(
            seconds=round(sum(one.seconds for one in found), 1),
            engines=tuple(found),
            needs="two examples" if count < 2 else None,
        )

    def begin(self) -> Trial:
        """Begin; each engine's expected score is told as an event, and the end as another.

        Raises:
            Refusal: If there are fewer than two examples.
        """
        told, state = self.estimate(), prompt_state(self.project)
        if told.needs is not None or state is None:
            raise Refusal(409, "Leaving one out needs two examples or more.")
        self.cancel()
        for one in told.engines:  # they were shown, and asked for
            self.answering.engines.let_in(one.name)
        with self.project.lock:
            now = self._round
        worker, tell = self.answering.worker, self.answering.events.tell
        for one in told.engines:
            worker.submit(Urgency.LATER, partial(self._try, one.name, state, now))
        worker.submit(Urgency.LATER, lambda: tell("trials") if now == self._round else None)
        return told

    def cancel(self) -> None:
        """End what is being tried, at the next image."""
        with self.project.lock:
            self._round += 1

    def _try(self, name: str, state: PromptState, now: int) -> None:
        tell = self.answering.events.tell
        check = self.answering.checking(state, lambda: now == self._round)
        try:
            check()
            score = self.answering.prompter_by(name, state).expected_score(check=check)
            assert score is not None
        except Superseded:
            if now == self._round:
                tell("trial", engine=name, detail="The examples changed; try again.")
            return
        except (Refusal, ValueError, OSError, RuntimeError) as error:
            log.warning("%s could not be tried: %s", name, error)
            tell("trial", engine=name, detail=str(error))
            return
        tell(
            "trial",
            engine=name,
            expected=round(score.interval.mean, 4),
            low=round(score.interval.low, 4),
            high=round(score.interval.high, 4),
        )


def _called(name: str) -> str:
    """How an engine that is loaded by a name calls itself in answers."""
    return name.rpartition("/")[2].partition("@")[0]
