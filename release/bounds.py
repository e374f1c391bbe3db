"""`make test-oldest`, `make test-newest`: the tests on the ends of what pyproject.toml allows.

    python -m release.bounds oldest|newest [--python PYTHON] [--torch torch==2.8] [TESTS...]

The oldest are the floors of all extras at once, which pip gets as constraints; the newest are what
pip finds. PyTorch stays the build that `constraints.txt` names, unless `--torch` says otherwise,
since an older or newer one may be at hand for CUDA only. Warnings of old and new libraries are no
failures here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from release.dependencies import ROOT, constrained, declared, extras, floors, tools
from release.environments import Environment, environment, joined


def main() -> None:
    """Make an environment and test in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("end", choices=("oldest", "newest"))
    parser.add_argument("--python", default=sys.executable, help="Makes the environment.")
    parser.add_argument("--torch", default=str(constrained("torch")), help="As pip reads it.")
    parser.add_argument("tests", nargs="*", default=["tests"], help="What pytest is given.")
    given = parser.parse_args()
    with environment(given.python) as made:
        install(made, given.end, given.torch)
        made.check()
        print(made.output("-m", "pip", "list"), flush=True)
        words = ("-m", "not slow", "--override-ini", "filterwarnings=", "-n", "logical")
        made.run("-m", "pytest", *words, *given.tests, cwd=ROOT)


def install(made: Environment, end: str, torch: str) -> None:
    """Vicl with all extras, and what tests run with."""
    known = declared()
    oldest = floors(known) if end == "oldest" else {}
    lines = [torch, *(f"{name}=={oldest[name]}" for name in oldest if name != "torch")]
    linters = {"import-linter", "mypy", "ruff", "types-pyyaml"}
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
        made.install(
            *("--constraint", constraints, "--editable", f"{ROOT}{joined(extras(known))}"),
            *(str(one) for one in tools(known) if canonicalize_name(one.name) not in linters),
        )


if __name__ == "__main__":
    main()
