"""The machine that a computation runs on: what it is, and how much memory was taken."""

from __future__ import annotations

import platform
import re
import resource
import sys
from pathlib import Path

import torch


def processor(device: torch.device) -> str:
    """Name a device for a report: the GPU, or the CPU with its threads and vector arithmetic."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"{platform.machine()} (MPS)"
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    found = re.search(r"model name\s*: (.+)", text)
    name = found[1] if found else platform.processor() or platform.machine()
    kinds = [kind for kind in ("avx512_bf16", "amx_bf16") if kind in text]
    fast = f"bfloat16 by {', '.join(kinds)}" if kinds else "no bfloat16 arithmetic"
    level = torch.backends.cpu.get_cpu_capability()
    return f"{name}, {torch.get_num_threads()} threads, {level}, {fast}"


def peak_memory() -> int:
    """Bytes at the peak: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    if found:
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
