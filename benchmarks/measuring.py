"""What the measurements share: a fresh count of memory, and a wait for the GPU."""

from __future__ import annotations

from pathlib import Path

import torch


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
