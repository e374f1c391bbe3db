"""How commands fail: one line on standard error, an exit code, and with --debug the trace."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click


def tell(error: BaseException, message: str = "", *, debug: bool = False) -> None:
    """Tell of an error in one line; `message` says it better than the error, where it is given."""
    click.echo(f"error: {' '.join((message or str(error)).split())}", err=True)
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True)


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
        stopped: What to say after Ctrl-C, which is exit code 130.
        full: What to do where a device's memory is full; None if the command cannot say.
    """

    def end(error: BaseException, code: int, message: str = "") -> NoReturn:
        tell(error, message, debug=debug)
        sys.exit(code)

    try:
        yield
    except KeyboardInterrupt as error:
        end(error, 130, stopped)
    except BrokenPipeError:
        # Who reads has seen enough, as `| head` does. What is still in the buffer has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except usage as error:
        end(error, 2)
    except (ValueError, OSError) as error:
        end(error, code)
    except RuntimeError as error:
        # Found by its name, since torch may not be imported yet.
        if full is None or type(error).__name__ != "OutOfMemoryError":
            raise
        end(error, code, f"the device's memory is full; {full}")
