"""Asking in chunks that a device has room for, where one that fails takes nobody along."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

import torch

from vicl.engine import Filled, InContextModel
from vicl.prompt import Prompt

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16
"""How many canvases (or prompts, of engines without a canvas) go through an engine at once."""

_MOST = 1 << 20

FAULTS = (ValueError, RuntimeError, OSError, MemoryError)
"""What one prompt may go wrong by, without the others going wrong too."""


@dataclass
class Chunks:
    """Calls a function on so many things at once; on half of them whenever the memory is full.

    Attributes:
        size: How many; it shrinks.
    """

    size: int = AT_ONCE

    def __post_init__(self) -> None:
        if not 1 <= self.size <= _MOST:
            raise ValueError(f"batch_size: got {self.size}, expected 1 to {_MOST}")

    def run(
        self, things: Iterable[T], function: Callable[[list[T]], Sequence[R]]
    ) -> Iterator[tuple[T, R | Exception]]:
        """Give each thing with what the function makes of it, or with its error; in order.

        Args:
            things: As many as there are; at most `size` are held.
            function: Gives one result for each of a list.
        """
        waiting = iter(things)
        while chunk := list(islice(waiting, self.size)):
            yield from zip(chunk, self._results(chunk, function), strict=True)

    def _results(
        self, chunk: list[T], function: Callable[[list[T]], Sequence[R]]
    ) -> list[R | Exception]:
        try:
            return [*function(chunk)]
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(chunk) == 1:
                return [RuntimeError(f"the memory is full with one at a time ({error})")]
            self.size = max(1, len(chunk) // 2)
            log.info("the memory is full with %d at once", len(chunk))
            cuts = range(0, len(chunk), self.size)
        except FAULTS as error:
            if len(chunk) == 1:
                return [error]
            cuts = range(len(chunk))
        # Outside the handlers, whose errors would keep what the device holds alive.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        step = cuts.step
        parts = (chunk[start : start + step] for start in cuts)
        return [result for part in parts for result in self._results(part, function)]


@runtime_checkable
class Streaming(Protocol):
    """An engine that takes prompts as they come, and says itself what goes through at once."""

    def stream(
        self,
        prompts: Iterable[Prompt],
        *,
        samples: int = 1,
        seed: int = 0,
        batch_size: int = AT_ONCE,
    ) -> Iterator[Filled | Exception]:
        """See :func:`answers`."""
        ...


def answers(
    engine: InContextModel,
    prompts: Iterable[Prompt],
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> Iterator[Filled | Exception]:
    """Answer any number of prompts, in order; one that cannot be answered gives its error.

    Args:
        engine: What answers.
        prompts: May be endless.
        samples: See :meth:`vicl.engine.InContextModel.answer`.
        seed: Likewise.
        batch_size: Canvases that go through an inpainter at once, whatever prompts, tiles and views
            they are of; of other engines prompts. Halved where the device's memory is too small.
    """
    if isinstance(engine, Streaming):
        yield from engine.stream(prompts, samples=samples, seed=seed, batch_size=batch_size)
        return

    def ask(chunk: list[Prompt]) -> list[Filled]:
        return engine.answer(chunk, samples=samples, seed=seed)

    for _, answer in Chunks(batch_size).run(prompts, ask):
        yield answer


def unbroken(results: Iterable[R | Exception]) -> list[R]:
    """The results, where each is one.

    Raises:
        Exception: The first error among them.
    """
    found: list[R] = []
    for result in results:
        if isinstance(result, Exception):
            raise result
        found.append(result)
    return found
