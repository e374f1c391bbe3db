"""An engine of which processes die: a worker that is killed, and pictures that kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vicl.engine import Filled
from vicl.images import to_tensor
from vicl.prompt import Prompt

POISON = (255, 0, 0)
"""The colour of a picture of which a process dies."""

SLOW = (0, 0, 255)
"""The colour of a picture that takes its time."""


@dataclass
class Deadly:
    """Answers with the query's negative.

    Attributes:
        mark: A file; where it is named, only the first process dies that sees a poison.
    """

    mark: str | None = None
    name: str = "deadly"
    weights_hash: str | None = None
    max_size: int | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        found = []
        for prompt in prompts:
            query = to_tensor(prompt.query)
            colour = tuple(query[:, 0, 0].mul(255).round().int().tolist())
            if colour == SLOW:
                time.sleep(0.3)
            if colour == POISON and (self.mark is None or not Path(self.mark).exists()):
                if self.mark is not None:
                    Path(self.mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            found.append(Filled(1 - query))
        return found
