"""All engines tried on the project's own examples, by leaving one out."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from vicl.prompting.prompter import VisualPrompter
from vicl.server.problems import Refusal
from vicl.server.prompts import PromptState, example_of, prompt_state, task_options
from vicl.server.schemas import Trial
from vicl.server.services import Services
from vicl.server.worker import Urgency

log = logging.getLogger(__name__)

TRIED: Final = ("matching", "default", "analogies")
"""The engines that come with the package, but for the floors."""

_SECONDS: Final = 1.0
"""Guess of an answer's time, until one was measured."""


def estimate(services: Services) -> Trial:
    """How long trying takes, judged by how long the last answers took."""
    project, state = services.project, prompt_state(services.project)
    count = 0 if state is None else len(state.examples)
    if count < 2:
        return Trial(seconds=0, engines=TRIED, needs="two examples")
    facts = [project.facts(image) for image in project.images]
    known = [one.seconds for one in facts if one is not None and one.seconds > 0]
    each = sum(known) / len(known) if known else _SECONDS
    return Trial(seconds=round(each * count * len(TRIED), 1), engines=TRIED)


def try_engines(services: Services) -> Trial:
    """Begin; each engine's expected score is told as an event.

    Raises:
        Refusal: If there are fewer than two examples.
    """
    told, state = estimate(services), prompt_state(services.project)
    if told.needs is not None or state is None:
        raise Refusal(409, "Leaving one out needs two examples or more.")
    for name in TRIED:
        services.worker.submit(Urgency.LATER, partial(_try, services, name, state))
    services.worker.submit(Urgency.LATER, partial(services.events.tell, "trials"))
    return told


def _try(services: Services, name: str, state: PromptState) -> None:
    project = services.project
    try:
        with project.lock:
            file = project.file
            examples = [example_of(project, image) for image in state.examples]
        engine = services.answering.model(name)
        score = VisualPrompter(engine, examples, **task_options(file)).expected_score()
        assert score is not None
    except (Refusal, ValueError, OSError, RuntimeError) as error:
        log.warning("%s could not be tried: %s", name, error)
        services.events.tell("error", detail=f"{name} could not be tried: {error}")
        return
    services.events.tell(
        "trial",
        engine=name,
        expected=round(score.interval.mean, 4),
        low=round(score.interval.low, 4),
        high=round(score.interval.high, 4),
    )
