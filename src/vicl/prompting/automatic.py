"""Choosing by itself: engine, views and examples, by leaving one out within a time.

What measured best for the task is tried first, and stays unless another is better beyond noise on
the very examples that the user gave. No query has a part in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from vicl.engine import InContextModel, Inpainter
from vicl.images import DEFAULT_LIMIT_PIXELS
from vicl.loading import BEST_FOR_TASK
from vicl.metrics import Interval, bootstrap_interval
from vicl.models.registry import ENGINES
from vicl.prompt import Example
from vicl.prompting.batching import FAULTS
from vicl.selection.fixed import Fixed, diverse
from vicl.selection.pool import Entry
from vicl.selection.selectors import Nearest, Random, Selector, choose
from vicl.tasks import Task

SECONDS: Final = 60.0
"""How long is tried, unless somebody says otherwise."""

LEFT_OUT: Final = 24
"""So many images of a pool are left out in turn; of examples all are."""

_ALPHA: Final = 0.05
"""The chance, over all that is tried, that one which is no better is taken for better."""

_LEAST: Final = 5
"""Examples by which another is taken: of fewer, differences are alike by chance too often."""

_VIEWS: Final[tuple[Mapping[str, Any], ...]] = (
    {"arrangements": 8},
    {"arrangements": 8, "fuse": "logits"},
    {"spins": 4},
)
"""Ways of asking an inpainter that are tried."""

_MORE: Final = (3, 5)
"""Numbers of a pool's examples that are tried beside the one that was given."""


@runtime_checkable
class Prompter(Protocol):
    """What is needed of a :class:`vicl.VisualPrompter`."""

    @property
    def model(self) -> InContextModel | Inpainter:
        """What answers."""
        ...

    @property
    def task(self) -> Task:
        """How annotations are drawn and read."""
        ...

    def score(self, examples: Sequence[Example], truth: Example) -> float:
        """How well examples answer another one; more is better."""
        ...


@dataclass(frozen=True, eq=False)
class Candidate:
    """A way of asking.

    Attributes:
        model: As :func:`vicl.load_model` takes it; None: as given, else what measured best.
        settings: Beside those that were given.
        selector: What chooses the examples, where a pool was given.
    """

    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    selector: Selector | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of a candidate.

    Attributes:
        name: It in words.
        values: Scores by the number of the example that was left out; fewer where one could not be
            read, or the time was up.
        seconds: Spent on it.
        fault: Why it has no score, or not all; "" where it has.
    """

    name: str
    values: Mapping[int, float]
    seconds: float
    fault: str = ""

    @property
    def interval(self) -> Interval | None:
        """Mean of the scores with its bootstrap 95% interval; None without any."""
        return bootstrap_interval(list(self.values.values())) if self.values else None

    def __str__(self) -> str:
        score = self.interval
        parts = [] if score is None else [f"{score} of {score.n}"]
        return f"{self.name}: {', '.join([*parts, *([self.fault] if self.fault else [])])}"


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen, and what else was tried.

    Attributes:
        candidate: How to ask.
        chosen: What came of it.
        trials: All, in the order in which they were tried; that one among them.
        metric: What was measured, such as "IoU"; more is better.
    """

    candidate: Candidate
    chosen: Trial
    trials: tuple[Trial, ...]
    metric: str

    def __str__(self) -> str:
        if self.chosen.interval is None:
            return f"not chosen but taken, {self.chosen}"
        return f"chosen by {self.metric}, leaving one out: {self.chosen}"


def choose_by_itself(
    make: Callable[[Candidate], Prompter],
    shown: Sequence[Example] | Selector,
    *,
    settings: Mapping[str, Any],
    any_engine: bool = True,
    seconds: float = SECONDS,
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
) -> Choice:
    """Choose how to ask: the engine, then its views, then how a pool's examples are chosen.

    Another is taken only where it has answered all that the one before has, five or more, and is
    better by a paired one-sided t test, at 0.05 shared out among all candidates (Bonferroni).

    Args:
        make: Makes a prompter.
        shown: The examples, or what chooses them.
        settings: That were given, and stay; `seed` is also of what of a pool is left out.
        any_engine: Whether other engines may be taken.
        seconds: How long to try; the last answer may take longer.
        limit_pixels: Of queries.

    Raises:
        ValueError: If there are too few examples to leave one out, or `seconds` is no time.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(
            f"auto: got {seconds}, expected seconds above 0 (command line: --auto 60s)"
        )
    count = len(shown.pool if isinstance(shown, Selector) else shown)
    if count < 2:
        raise ValueError(f"auto: leaving one out needs two examples or more, got {count}")
    end, trials, seed = time.monotonic() + seconds, list[Trial](), int(settings.get("seed", 0))

    def tried(candidate: Candidate) -> tuple[Candidate, Trial, Prompter | None]:
        trial, prompter = _try(candidate, make, shown, end, seed)
        trials.append(trial)
        return candidate, trial, prompter

    best = first = tried(Candidate(selector=shown if isinstance(shown, Selector) else None))
    prompter = first[2]
    if prompter is None or first[1].fault:
        metric = "score" if prompter is None else prompter.task.metric
        return Choice(first[0], first[1], tuple(trials), metric)
    stages: tuple[Callable[[Candidate, Prompter], list[Candidate]], ...] = (
        lambda now, made: _engines(now, made.task) if any_engine else [],
        lambda now, made: _views(now, settings) if isinstance(made.model, Inpainter) else [],
        lambda now, made: _choosings(now, seed, limit_pixels),
    )
    alpha = _ALPHA / sum(map(len, (_engines(first[0], prompter.task), _VIEWS, _MORE, _MORE)))
    for stage in stages:
        assert best[2] is not None
        for found in map(tried, stage(best[0], best[2])):
            if _better(found[1], best[1], alpha):
                best = found
    return Choice(best[0], best[1], tuple(trials), prompter.task.metric)


def _engines(now: Candidate, task: Task) -> list[Candidate]:
    """The package's other engines; of masks also the best one's, drawn by the segmenter."""
    best = BEST_FOR_TASK.get(task.name, BEST_FOR_TASK["image"])
    names = [one.name for one in ENGINES if not one.floor and one.name != best]
    if task.name == "segmentation":
        names.append(f"{best}+default")
    return [replace(now, model=name) for name in names]


def _views(now: Candidate, settings: Mapping[str, Any]) -> list[Candidate]:
    """Other views; those that fuse tokens, of which there is one answer, not for several."""
    several = settings.get("samples", 1) > 1
    fitting = (view for view in _VIEWS if not settings.keys() & view.keys())
    return [replace(now, settings=v) for v in fitting if not (several and "fuse" in v)]


def _choosings(now: Candidate, seed: int, limit_pixels: int) -> list[Candidate]:
    """More examples of a pool, and other ways to choose them."""
    selector = now.selector
    if selector is None:
        return []
    found: list[Selector] = []
    if isinstance(selector, Nearest | Random | Fixed):
        found += [replace(selector, examples=n) for n in _MORE if n > selector.examples]
    if isinstance(selector, Nearest):
        found += [diverse(selector.index, selector.examples, seed=seed)]
    if not isinstance(selector, Random):
        found += [Random(selector.pool, selector.examples, seed, limit_pixels)]
    return [replace(now, selector=one) for one in found]


def _try(
    candidate: Candidate,
    make: Callable[[Candidate], Prompter],
    shown: Sequence[Example] | Selector,
    end: float,
    seed: int,
) -> tuple[Trial, Prompter | None]:
    """Score a candidate, as far as the time goes; what cannot be read or answered is left out."""
    begun, values, fault = time.monotonic(), dict[int, float](), ""
    prompter: Prompter | None = None
    if begun >= end:
        return Trial(_named(candidate, None), values, 0.0, "the time was up"), None
    try:
        prompter = make(candidate)
    except (ValueError, OSError) as error:
        fault = str(error)
    asked = () if prompter is None else _left_out(candidate.selector or shown, seed)
    for number, ask in enumerate(asked):
        if time.monotonic() >= end:
            fault = "the time was up"
            break
        try:
            assert prompter is not None
            values[number] = prompter.score(*ask())
        except FAULTS as error:
            fault = str(error)
    else:
        fault = "" if len(values) >= 2 else fault or "too little could be asked"
    return Trial(_named(candidate, prompter), values, time.monotonic() - begun, fault), prompter


def _left_out(
    shown: Sequence[Example] | Selector, seed: int
) -> Iterator[Callable[[], tuple[Sequence[Example], Example]]]:
    """What is asked: each example by the others, or images of a pool by what is chosen for them."""
    if isinstance(shown, Selector):
        drawn = np.random.default_rng(seed).permutation(len(shown.pool))[:LEFT_OUT]
        for entry in (shown.pool.entries[place] for place in drawn):
            yield partial(_chosen_for, shown, entry)
        return
    for place in range(len(shown)):
        yield partial(_others, shown, place)


def _chosen_for(selector: Selector, entry: Entry) -> tuple[Sequence[Example], Example]:
    return choose(selector, entry.image), entry.example()


def _others(shown: Sequence[Example], place: int) -> tuple[Sequence[Example], Example]:
    return (*shown[:place], *shown[place + 1 :]), shown[place]


def _better(one: Trial, other: Trial, alpha: float) -> bool:
    """Whether a trial scores more than another beyond noise, on all that the other has scored."""
    if one.fault or other.values.keys() - one.values.keys() or len(other.values) < _LEAST:
        return False
    gains = np.array([one.values[place] - value for place, value in other.values.items()])
    if gains.mean() < 1e-6:  # the same, but for rounding
        return False
    from scipy import stats  # nobody else who predicts waits for it

    error = max(float(gains.std(ddof=1)), 1e-9) / len(gains) ** 0.5
    return bool(stats.t.sf(gains.mean() / error, len(gains) - 1) < alpha)


def _named(candidate: Candidate, prompter: Prompter | None) -> str:
    """A candidate in words."""
    model = candidate.model or ("the task's engine" if prompter is None else prompter.model.name)
    how = [f"{name}={value}" for name, value in candidate.settings.items()]
    if candidate.selector is not None:
        said = candidate.selector.describe()
        how.append(f"{said['select']} {said['examples']}")
    return " ".join([model, *how])
