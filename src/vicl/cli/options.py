"""The options that several commands have, declared once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from vicl.files.times import seconds_of

PATH = click.Path(path_type=Path)
COUNT = click.IntRange(1)


class _Time(click.ParamType[float]):
    """A time such as 90s, 10m or 2h, in seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        found = seconds_of(str(value))
        if found is None:
            self.fail(f"got {str(value)[:60]!r}, expected a time such as 90s, 10m or 2h")
        return found


TIME = _Time()


def number(
    names: str, least: int, help: str | None = None, *, most: int | None = None, **more: Any
) -> click.Option:
    """An option of a whole number, at least `least`; `names` are those that `click` takes."""
    return click.Option(names.split(), type=click.IntRange(least, most), help=help, **more)


def choice(
    names: str, values: Sequence[str], help: str | None = None, default: str | None = None
) -> click.Option:
    """An option of one of some words."""
    return click.Option(names.split(), type=click.Choice(values), default=default, help=help)


class _Worded(click.Option):
    """An option whose value is never another option's name, which was meant as that option."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """As of any option.

        Raises:
            click.UsageError: If one of its values is the name of an option of the command.
        """
        several = value if isinstance(value, list | tuple) else [value]
        words = [word for part in several for word in (part if self.nargs > 1 else [part])]
        names = {name for param in ctx.command.params for name in param.opts}
        swallowed = next((w for w in words if isinstance(w, str) and w in names), None)
        if swallowed is not None:
            wanted = self.metavar or "a value"
            raise click.UsageError(
                f"{self.opts[0]} takes {wanted}, but {swallowed} came where a value was expected; "
                f"give all of {wanted}, then {swallowed}",
                ctx,
            )
        return super().type_cast_value(ctx, value)


def text(names: str, metavar: str | None, help: str | None = None, **more: Any) -> click.Option:
    """An option of words, or of what `type` makes of them."""
    return _Worded(names.split(), metavar=metavar, help=help, **more)


def _below_limit(_: click.Context, __: click.Parameter, value: int | None) -> int | None:
    if value is not None and value >= 1 << 63:
        raise click.BadParameter(f"got {value}, expected less than {1 << 63}")
    return value


def seed(shown: str = "", **more: Any) -> click.Option:
    """The option of what is random; `shown` ends its help."""
    help = f"The same seed gives the same answers.{shown}"
    return number("--seed", 0, help, callback=_below_limit, **more)


def path(names: str, metavar: str | None, help: str | None = None, **more: Any) -> click.Option:
    """An option of a file or a folder, of whichever `type`."""
    return text(names, metavar, help, **({"type": PATH} | more))


def flag(names: str, help: str) -> click.Option:
    """An option that is given or not."""
    return click.Option(names.split(), is_flag=True, help=help)


def examples(*commands: str) -> str:
    """What stands at the end of a command's help: lines that can be typed, comments among them."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


SEED = seed(default=0)
DEVICE = choice(
    "--device", ("auto", "cpu", "cuda", "mps"), "Where models run; auto: the fastest here.", "auto"
)
DTYPE = choice("--dtype", ("auto", "float32", "bfloat16"), "How models compute.", "auto")
DEBUG = flag("--debug", "Show traces with errors.")
FORMATS = ("png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme", "voc")
TOLERANCE = click.Option(
    ["--tolerance"],
    type=click.FloatRange(min=0),
    metavar="PX",
    help="coco-polygons, yolo, labelme: pixels by which outlines may be off to save points.  "
    "[default: 0]",
)
MIN_AREA = number(
    "--min-area",
    1,
    "All formats but png: leave out parts of a mask of fewer pixels.  [default: 1]",
    metavar="PX",
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def options(*shared: click.Option) -> Callable[[_Command], _Command]:
    """Give a command's function options that are declared elsewhere, as `click.option` does."""

    def give(function: _Command) -> _Command:
        # Click keeps the options in the order of the decorators, from the last one up.
        known = getattr(function, "__click_params__", [])
        function.__dict__["__click_params__"] = [*known, *reversed(shared)]
        return function

    return give
