"""What a run tells on its way: progress on the terminal, a log file, and accelerate's trackers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vicl.files import display, reason, write_atomic
from vicl.files.machine import peak_memory
from vicl.files.plain_json import parse_json
from vicl.files.progress import Advance
from vicl.training.checkpoints import TrainingError
from vicl.training.parallel import Accelerator

LOG = "log.jsonl"

log = logging.getLogger(__name__)


class Report:
    """The log of a run; only the main process writes.

    Args:
        folder: The run's; None writes no log.
        accelerator: Its trackers are told too.
        start: Steps done already; what an earlier process logged after them is dropped.
        advance: Moves the progress bar on.

    Attributes:
        broken_images: How many images could not be read, in this process.
    """

    def __init__(
        self, folder: Path | None, accelerator: Accelerator, start: int, advance: Advance
    ) -> None:
        self._accelerator = accelerator
        self._advance = advance
        self._file: Path | None = None
        if folder is not None and accelerator.is_main_process:
            self._file = folder / LOG
            kept = [line for line in read_log(folder) if line["step"] <= start]
            write_atomic(self._file, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.broken_images = 0
        self._sums: dict[str, Tensor] = {}
        self._images = 0
        self._waited = 0.0
        self._since = time.perf_counter()

    def add(self, figures: Mapping[str, Tensor], images: int, waited: float) -> None:
        """Take in one optimiser step; nothing is read from the accelerator.

        Args:
            figures: Scalars, detached, on the device.
            images: Seen by all processes together.
            waited: Seconds for which the process waited for data.
        """
        for name, value in figures.items():
            # Figures of later stages, such as a discriminator's, begin when they begin.
            total, count = self._sums.get(name, value.new_zeros(2)).unbind()
            self._sums[name] = torch.stack((total + value, count + 1))
        self._images += images
        self._waited += waited
        self._advance()

    def broken(self, messages: Sequence[str]) -> None:
        """Tell of images that could not be read and were replaced."""
        self.broken_images += len(messages)
        for message in messages:
            log.warning("skipped: %s", message)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave what is done within out of the rates: looking and saving are no training."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._since += time.perf_counter() - begun

    def write(self, step: int, extra: Mapping[str, float]) -> None:
        """Log the means since the last time, with rate, memory and the share of waiting.

        Memory and waiting are those of the first process.

        All processes call it at the same steps.

        Args:
            step: Optimiser steps done.
            extra: Further figures, such as the learning rate.
        """
        seconds = max(time.perf_counter() - self._since, 1e-9)
        line = {
            name: float(self._accelerator.reduce(total / count, "mean"))
            for name, (total, count) in self._sums.items()
        }
        broken = torch.tensor(float(self.broken_images), device=self._accelerator.device)
        line |= {
            **extra,
            "images_per_second": self._images / seconds,
            "data_wait": self._waited / seconds,
            "broken_images": float(self._accelerator.reduce(broken, "sum")),
            "memory_mib": peak_memory() / 2**20,
        }
        self._sums, self._images, self._waited = {}, 0, 0.0
        self._since = time.perf_counter()
        self.note(step, line)
        self._advance(
            0,
            note=f"loss {line['loss']:.4f}  {line['images_per_second']:.0f} images/s  "
            f"{line['data_wait']:.0%} waiting for data",
        )

    def note(self, step: int, line: Mapping[str, float]) -> None:
        """Add a line to the log and the trackers."""
        self._accelerator.log(dict(line), step=step)
        if self._file is None:
            return
        rounded = {name: float(f"{value:.6g}") for name, value in line.items()}
        try:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step, **rounded}) + "\n")
        except OSError as error:
            raise TrainingError(
                f"{display(self._file)}: cannot be written ({reason(error)}); free some space, "
                "then go on with --resume"
            ) from error


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line that was cut off is left out."""
    file = folder / LOG
    lines: list[dict[str, Any]] = []
    if file.exists():
        for text in file.read_text("utf-8").splitlines():
            try:
                line = parse_json(text)
            except ValueError:
                break
            if not isinstance(line, dict) or not isinstance(line.get("step"), int):
                break
            lines.append(line)
    return lines
