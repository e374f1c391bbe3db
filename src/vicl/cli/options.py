"""The options that several commands have, declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PATH = click.Path(path_type=Path)
"""A file or a folder."""
COUNT = click.IntRange(1)
"""A number from 1 on."""

SEED = click.Option(["--seed"], type=click.IntRange(min=0), default=0)
DEVICE = click.Option(
    ["--device"], type=click.Choice(("auto", "cpu", "cuda", "mps")), default="auto"
)
DTYPE = click.Option(
    ["--dtype"], type=click.Choice(("auto", "float32", "bfloat16")), default="auto"
)
DEBUG = click.Option(["--debug"], is_flag=True, help="Show traces with errors.")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def options(*shared: click.Option) -> Callable[[_Command], _Command]:
    """Give a command's function options that are declared elsewhere, as `click.option` does."""

    def give(function: _Command) -> _Command:
        # Click keeps the options in the order of the decorators, from the last one up.
        known = getattr(function, "__click_params__", [])
        function.__dict__["__click_params__"] = [*known, *reversed(shared)]
        return function

    return give
