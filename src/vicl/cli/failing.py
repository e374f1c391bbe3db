"""How commands end: one line on standard error, an exit code, and with --debug the trace."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

STOPPED, NO_READER = 130, 141
"""Exit codes after Ctrl-C, and where the reader of the output has left: what shells expect."""

_ARGUMENT = r"(?:VisualPrompter\.\w+|\w+=(?:\{[^{}]*\}|\[[^][]*\]|\([^()]*\)|'[^']*'|[\w.]+))"
_BOTH = re.compile(rf"{_ARGUMENT}(?: or {_ARGUMENT})* \(command line: ([^()]*)\)")
"""How errors name what to give: in Python, and in brackets on the command line."""


def one_line(text: str) -> str:
    """Text for a terminal: its line breaks are spaces, and other control characters escaped."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)


def tell(error: BaseException, message: str = "", *, debug: bool = False) -> None:
    """Tell of an error in one line; `message` says it better than the error, where it is given.

    Where an error says how to do something in Python and on the command line, the latter is told.
    """
    told = _BOTH.sub(r"\1", one_line(message or str(error)))
    click.echo(f"error: {told.replace('(command line: ', '(')}", err=True)
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True)


@contextmanager
def stoppable(stopped: str = "stopped", *, debug: bool = False) -> Iterator[None]:
    """End the command plainly after Ctrl-C, or where nobody reads on.

    Args:
        stopped: What to say after Ctrl-C, unless the interrupt says it itself.
        debug: Show the trace too.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        tell(error, str(error) or stopped, debug=debug)
        sys.exit(STOPPED)
    except BrokenPipeError:
        # Who reads has seen enough, as `| head` does. What is still in the buffer has no reader.
        with suppress(OSError, ValueError):  # standard output that is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NO_READER)


@contextmanager
def failing(
    code: int,
    *,
    debug: bool = False,
    usage: tuple[type[Exception], ...] = (),
    stopped: str = "stopped",
    full: str | None = None,
) -> Iterator[None]:
    """End the command plainly where what stands inside fails; faults of the program are not hidden.

    Args:
        code: The exit code for a wrong value, or a file that cannot be read or written.
        debug: Show the trace too.
        usage: Errors that are wrong usage of the command, which is exit code 2.
        stopped: See :func:`stoppable`.
        full: What to do where a device's memory is full; None if the command cannot say.
    """

    def end(error: BaseException, code: int, message: str = "") -> NoReturn:
        tell(error, message, debug=debug)
        sys.exit(code)

    with stoppable(stopped, debug=debug):
        try:
            yield
        except BrokenPipeError:
            raise
        except usage as error:
            end(error, 2)
        except (ValueError, OSError) as error:
            end(error, code)
        except RuntimeError as error:
            # Found by its name, since torch may not be imported yet.
            if full is None or type(error).__name__ != "OutOfMemoryError":
                raise
            end(error, code, f"the device's memory is full; {full}")
