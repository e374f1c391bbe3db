"""Records what the code answers now, so that a rebuild can be held against it.

    python -m tests.net.record [OUT]

writes `net.json`, with hashes of the exact bytes, and `net.npz`, with thumbnails, into OUT
(`tests/data`).  Record anew only what is meant to differ, and say why in `test_net.CHANGED`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import torch
from tests.net import cases_answers, cases_evaluation, cases_training
from tests.net.values import Cases, machine, recorded

CASES: Cases = {
    **cases_answers.CASES,
    **cases_evaluation.CASES,
    **cases_training.CASES,
}
DATA = Path(__file__).parents[1] / "data"


def main() -> None:
    torch.set_num_threads(1)
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    out.mkdir(parents=True, exist_ok=True)
    values, small = {}, {}
    spent: dict[str, float] = defaultdict(float)
    for name, case in CASES.items():
        begun = time.perf_counter()
        found = recorded(case())
        values[name], small[name] = found.values, found.small
        group = name.partition(":")[0]
        spent[group] += time.perf_counter() - begun
    text = json.dumps({"machine": machine(), "cases": values}, indent=0, ensure_ascii=False)
    (out / "net.json").write_text(text + "\n", encoding="utf-8")
    # Names of cases are no names of files.
    np.savez_compressed(out / "net.npz", **{str(i): small[n] for i, n in enumerate(values)})
    for group, seconds in spent.items():
        click.echo(f"{seconds:6.1f} s  {group}")
    click.echo(f"{sum(spent.values()):6.1f} s  {len(values)} cases")


if __name__ == "__main__":
    main()
