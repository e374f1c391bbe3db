"""Giving prompts to an engine in batches, as large as its memory allows."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from vicl.engine import Filled, InContextModel
from vicl.evaluation.running.engines import device_of
from vicl.evaluation.scoring.results import EvaluationError
from vicl.prompt import Prompt

ON_CPU = 16
"""Prompts at once on a CPU, where canvases are computed one by one anyway."""

AT_FIRST = 128
"""Prompts at once on other devices, until the memory turns out to be too small."""

log = logging.getLogger(__name__)


class Answerer:
    """An engine that answers any number of prompts.

    Args:
        engine: What answers.
        batch_size: Prompts at once; None begins with many, and halves them whenever the device's
            memory is full.
        seed: Of everything random.

    Attributes:
        size: Prompts at once, now.
    """

    def __init__(self, engine: InContextModel, *, batch_size: int | None, seed: int) -> None:
        self.engine = engine
        self.size = batch_size or first_size(engine)
        self._fixed = batch_size is not None
        self._seed = seed

    def answer(self, prompts: Sequence[Prompt]) -> list[Filled | Exception]:
        """Answer each prompt, in order; what cannot be answered gives its error.

        Raises:
            EvaluationError: If the device's memory is full with the batch size that was asked for,
                or with a single prompt.
        """
        found: list[Filled | Exception] = []
        while len(found) < len(prompts):
            batch = prompts[len(found) : len(found) + self.size]
            answers = self._try(batch)
            if answers is None:
                self._shrink(len(batch))
            else:
                found += answers
        return found

    def _try(self, batch: Sequence[Prompt]) -> list[Filled | Exception] | None:
        """Answer a batch; None if the memory is full."""
        try:
            return [*self.engine.answer(batch, seed=self._seed)]
        except torch.OutOfMemoryError:
            return None
        except (ValueError, RuntimeError, OSError) as error:
            if len(batch) == 1:
                return [error]
        # One prompt that an engine cannot answer must not take its neighbours along.
        found: list[Filled | Exception] = []
        for prompt in batch:
            alone = self._try([prompt])
            if alone is None:
                return None
            found += alone
        return found

    def _shrink(self, tried: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self._fixed or tried == 1:
            hint = "lower the batch size" if tried > 1 else "use a smaller model or another device"
            raise EvaluationError(
                f"{self.engine.name}: the device's memory is full with {tried} prompt(s) at once; "
                f"{hint}"
            )
        self.size = tried // 2
        log.info("%s: the memory is full with %d prompts at once", self.engine.name, tried)


def first_size(engine: InContextModel) -> int:
    """How many prompts an engine is given at once, if nobody says."""
    return ON_CPU if device_of(engine).type == "cpu" else AT_FIRST
