"""`make package`: wheel and sdist, tried in clean environments, and a list of the wheel's contents.

    python -m release.package [--python PYTHON] [--only base,app,all]

Each environment is made, tried and removed: vicl as it is (of which the others are copies), with
each extra, added as vicl's errors say, with all of them, and out of the sdist. In each, without a
network and outside the checkout, a photograph is answered and every module is imported; a module
may lack only what an extra brings that is not installed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import nullcontext
from pathlib import Path

from packaging.utils import canonicalize_name

from release.dependencies import ROOT, declared, extras, tools
from release.environments import Environment, copied, environment, joined, mebibytes
from vicl.files.extras import to_install

DIST = ROOT / "dist"
LARGEST = 40 << 20
"""Bytes of a wheel."""

FIRST_ANSWER = ROOT / "release" / "first_answer.py"

TESTED = ("--constraint", str(ROOT / "constraints.txt"))
"""To pip: the versions that were tested."""


def main() -> None:
    """Build, try, list."""
    names = ("base", *extras(declared()), "all", "sdist")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="Makes the environments.")
    parser.add_argument("--only", default=",".join(names), help="Of: " + ",".join(names))
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := set(wanted) - set(names):
        parser.error(f"--only: expected of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    wheel, sdist = build()
    with environment(given.python) as base:
        base.install(*TESTED, str(wheel))
        for name in wanted:
            # Tried where it is, so that what it imports is compiled in the copies, too.
            with nullcontext(base) if name == "base" else copied(base) as made:
                try_out(name, sdist if name == "sdist" else wheel, made)
    print(f"{len(wanted)} environments passed")


def build() -> tuple[Path, Path]:
    """Make both from the checkout, the wheel out of the sdist, and the list of the wheel."""
    from release.inventory import inventory

    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", DIST, ROOT], check=True)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    listed = DIST / f"{wheel.name}.cdx.json"
    listed.write_text(inventory(wheel), encoding="utf-8")
    for made in (wheel, sdist, listed):
        print(f"{made.relative_to(ROOT)}: {mebibytes(made.stat().st_size)}")
    if wheel.stat().st_size > LARGEST:
        sys.exit(f"{wheel.name}: is larger than {mebibytes(LARGEST)}; take something out of it")
    check_contents(wheel)
    return wheel, sdist


def check_contents(wheel: Path) -> None:
    """Whether the wheel has what git has of the package, and the commit; asked where git is."""
    listed = subprocess.run(
        ["git", "ls-files", "src/vicl"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout:
        return
    wanted = {line.removeprefix("src/") for line in listed.stdout.splitlines()} | {
        "vicl/commit.txt"
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if name.startswith("vicl/")}
    if found != wanted:
        sys.exit(f"{wheel.name}: has more or less than git: {', '.join(sorted(found ^ wanted))}")


def try_out(name: str, built: Path, made: Environment) -> None:
    """Use what was built in an environment that has vicl alone; an extra is installed first."""
    users = extras(declared())
    if name in users:
        made.install(*TESTED, *shlex.split(to_install(name))[2:])
    elif name != "base":
        made.run("-m", "pip", "uninstall", "--quiet", "--yes", "vicl")
        chosen = joined(users) if name == "all" else ""
        made.install(*TESTED, f"vicl{chosen} @ {built.as_uri()}")
    made.check()
    with tempfile.TemporaryDirectory() as elsewhere:
        said = made.output("-I", FIRST_ANSWER, cwd=Path(elsewhere))
        version = made.output("-I", "-m", "vicl", "--version", cwd=Path(elsewhere)).strip()
    lacking = json.loads(said.splitlines()[-1])
    if faults := unexpected(lacking, name, made):
        sys.exit(f"{name}: " + "; ".join(faults))
    print(
        f"{name:<12} {version}, {mebibytes(made.size())} in all, "
        f"{len(lacking)} modules wait for other extras",
        flush=True,
    )


def unexpected(lacking: dict[str, str], name: str, made: Environment) -> list[str]:
    """Modules that cannot be imported, but for what an extra brings that is not installed.

    Args:
        lacking: The name of what could not be imported, by module.
        name: Of the environment.
        made: It.
    """
    known = declared()
    brings = importlib.metadata.packages_distributions()
    rows = json.loads(made.output("-m", "pip", "list", "--format", "json"))
    here = {canonicalize_name(row["name"]) for row in rows}
    # What these bring is there, or is to be wanted by no module of vicl.
    always = {canonicalize_name(one.name) for one in (*known[None], *tools(known))}
    faults = []
    for module, missing in lacking.items():
        packages = {canonicalize_name(one) for one in brings.get(missing, ())}
        if name == "all" or not packages or packages & (here | always):
            faults.append(f"{module} lacks {missing}")
    return faults


if __name__ == "__main__":
    main()
