"""The group of all commands: imported when they are named, and ended plainly by Ctrl-C."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import Any

import click

from vicl.cli.failing import STOPPED, one_line, stoppable

_SOON = 0.02
"""Seconds after which Ctrl-C during an import is looked at again."""


class Commands(click.Group):
    """Commands that are imported when one is asked for.

    Args:
        name: Of the group.
        load: Imports the commands and gives them, in order.
        **settings: As of a group.
    """

    def __init__(
        self, name: str, *, load: Callable[[], Sequence[click.Command]], **settings: Any
    ) -> None:
        super().__init__(name, **settings)
        self._load = cache(load)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in order."""
        return [str(command.name) for command in self._load()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them; None if there is none of the name."""
        return next((c for c in self._load() if c.name == cmd_name), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find what was asked for.

        Raises:
            click.UsageError: If there is none of the name; it lists those that there are.
        """
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            known = ", ".join(self.list_commands(ctx))
            ctx.fail(f"no command {args[0]!r}; expected one of {known}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was asked for, from its import on."""
        with stoppable(), _showing_origins():
            return super().invoke(ctx)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a process of its own: Ctrl-C pressed again while it ends changes nothing."""
        # Neither a shell's background job, which heeds no Ctrl-C, nor a thread.
        with suppress(ValueError):
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGALRM, _interrupt)
                signal.signal(signal.SIGINT, _interrupt)
        try:
            return super().__call__(*args, **kwargs)
        except KeyboardInterrupt:
            sys.exit(STOPPED)
        finally:
            with suppress(ValueError):
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Shown(logging.Handler):
    """Shows what is logged as commands show notes."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(one_line(record.getMessage()), err=True)


@contextmanager
def _showing_origins() -> Iterator[None]:
    """Show the licence and the hash of others' models that the command loads."""
    from vicl.adapters.registry import ORIGINS

    log, shown = logging.getLogger(ORIGINS), _Shown()
    before = log.level
    log.addHandler(shown)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(shown)
        log.setLevel(before)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; after an import, since compiled modules crash of it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, _SOON)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
