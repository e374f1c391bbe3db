"""Which commit this code is of: a file says it in a wheel, git in a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

# Written by `hatch_build.py`, which runs this file where nothing of vicl is installed.
_BUILT = Path(__file__).resolve().parents[1] / "commit.txt"


def revision() -> str | None:
    """The commit, with `-dirty` where files were changed since; None if nothing tells of it."""
    try:
        return _BUILT.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return _of_checkout(Path(__file__))


def _of_checkout(here: Path) -> str | None:
    """What git says; None where the file is not in a checkout of vicl's own."""
    said = None
    for command in (
        ("ls-files", "--error-unmatch", here.name),  # else it is installed in somebody else's
        ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"),
    ):
        try:
            done = subprocess.run(
                ("git", *command),
                cwd=here.parent,
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        if done.returncode:
            return None
        said = done.stdout.strip()
    return said
