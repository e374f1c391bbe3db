"""What the measurements share: memory counted afresh, a wait for the GPU, a table of means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.table import Table

from vicl.metrics import bootstrap_interval, paired_interval


def reset_peak_memory() -> None:
    """Begin to measure :func:`vicl.files.machine.peak_memory` anew, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compared(title: str, found: Mapping[str, Sequence[float]], base: str) -> Table:
    """Means with bootstrap 95% intervals, beside the paired difference to one of them.

    Args:
        title: Of the table.
        found: By name, a value an episode; all over the same episodes.
        base: Name of the one that the others are compared with.
    """
    table = Table(title=title)
    for heading in ("", "mean [95%]", f"less {base}, paired", "n"):
        table.add_column(heading)
    for name, values in found.items():
        less = "" if name == base else str(paired_interval(values, found[base]))
        table.add_row(name, str(bootstrap_interval(values)), less, str(len(values)))
    return table
