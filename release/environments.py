"""Virtual environments that are made, asked, and gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Environment:
    """A virtual environment that is there.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"

    def install(self, *words: str | Path) -> None:
        """`pip install`; what is imported is compiled then, as little of it all is."""
        quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
        self.run("-m", "pip", "install", *quiet, *words)

    def check(self) -> None:
        """`pip check`: whether everything that is there has what it needs."""
        self.run("-m", "pip", "check")

    def run(self, *words: str | Path, cwd: Path | None = None) -> None:
        """Run its Python, without what this process' environment says of other packages.

        Raises:
            subprocess.CalledProcessError: If it fails.
        """
        subprocess.run([self.python, *words], check=True, cwd=cwd, env=_plain())

    def output(self, *words: str | Path, cwd: Path | None = None) -> str:
        """The same; gives what it printed."""
        done = subprocess.run(
            [self.python, *words],
            check=True,
            cwd=cwd,
            env=_plain(),
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def size(self) -> int:
        """Bytes of all that is in it."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if not path.is_dir())


@contextmanager
def environment(python: str) -> Iterator[Environment]:
    """A new one, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vicl-release-") as folder:
        subprocess.run([python, "-m", "venv", Path(folder, "venv")], check=True)
        yield Environment(Path(folder, "venv"))


@contextmanager
def copied(made: Environment) -> Iterator[Environment]:
    """One with the same packages, which is gone afterwards; it takes no room for them.

    Files are shared by hard links: pip and Python write new ones, and never into one that is there.
    """
    with tempfile.TemporaryDirectory(prefix="copy-", dir=made.folder.parent) as folder:
        copy = Path(folder, "venv")
        shutil.copytree(made.folder, copy, symlinks=True, copy_function=os.link)
        yield Environment(copy)


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def mebibytes(size: int) -> str:
    """A size in words."""
    return f"{size / (1 << 20):.1f} MiB"


def joined(names: Sequence[str]) -> str:
    """The extras in brackets, as pip reads them; empty for none."""
    return f"[{','.join(names)}]" if names else ""
