"""`make test-oldest`, `make test-newest`: the tests on the ends of what pyproject.toml allows.

    python -m release.bounds oldest|newest [--extras app,hub] [--torch torch==2.8] [TESTS...]

The oldest are the lowest versions of what pyproject.toml names that go together, which uv finds;
the newest are what pip takes. PyTorch stays the build that `constraints.txt` names, unless
`--torch` says otherwise, since an older or newer one may be at hand for CUDA only. Warnings of old
and new libraries are no failures here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from release.dependencies import ROOT, constrained, declared, extras, tools
from release.environments import Environment, environment, joined

LINTERS = {"import-linter", "mypy", "ruff", "types-pyyaml"}


def main() -> None:
    """Make an environment and test in it."""
    users = extras(declared())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("end", choices=("oldest", "newest"))
    parser.add_argument("--python", default=sys.executable, help="Makes the environment.")
    parser.add_argument("--torch", default=str(constrained("torch")), help="As pip reads it.")
    parser.add_argument("--extras", default=",".join(users), help="Empty for none.")
    parser.add_argument("tests", nargs="*", default=["tests"], help="What pytest is given.")
    given = parser.parse_intermixed_args()
    chosen = [extra for extra in given.extras.split(",") if extra]
    if unknown := set(chosen) - set(users):
        parser.error(f"--extras: expected of {', '.join(users)}, got {', '.join(sorted(unknown))}")
    with environment(given.python) as made:
        install(made, given.end, given.torch, chosen)
        made.check()
        print(made.output("-m", "pip", "list"), flush=True)
        words = ("-m", "not slow", "--override-ini", "filterwarnings=", "-n", "logical")
        made.run("-m", "pytest", *words, *given.tests, cwd=ROOT)


def install(made: Environment, end: str, torch: str, chosen: Sequence[str]) -> None:
    """Vicl with some extras, and what tests run with."""
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, "named.txt")
        wanted = [f"{ROOT}{joined(chosen)}", *(str(one) for one in tools(declared()))]
        wanted = [one for one in wanted if canonicalize_name(one.partition("==")[0]) not in LINTERS]
        named.write_text("\n".join([torch, *wanted]) + "\n", encoding="utf-8")
        constraints = Path(folder, "constraints.txt")
        constraints.write_text(f"{torch}\n", encoding="utf-8")
        if end == "oldest":
            found = lowest(named, made.python)
            constraints.write_text(found, encoding="utf-8")
        made.install("--constraint", constraints, "--editable", wanted[0], *wanted[1:])


def lowest(named: Path, python: Path) -> str:
    """The lowest versions of what a file names that go together, and what else they need."""
    words = ("--resolution", "lowest-direct", "--no-header", "--no-annotate", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", *words, "--python", python, named],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    # The checkout itself stands there as a path.
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "==" in line)


if __name__ == "__main__":
    main()
