"""`vicl figures`: where the stages work, on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vicl.cli.many import ENGINE, check_engine
from vicl.cli.options import number

if TYPE_CHECKING:
    from vicl.figures.arxiv.workers import Each

WORKERS = number("--workers", 1, "Processes.  [default: 1; of ray all cores]", metavar="N")

EACH = (WORKERS, *ENGINE)
"""The options."""


@contextmanager
def each_of(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a stage is to work with, as the options say.

    Raises:
        click.UsageError: If an option does not suit.
        ValueError: If Ray is not installed.
        ConnectionError: If there is no cluster.
    """
    check_engine(given)
    workers: int | None = given["workers"]
    if given["engine"] == "local":
        each: Each | None = None
        yield {"each": each, "workers": workers or 1}
        return
    from vicl.scale.each_on_ray import open_each

    with open_each(workers=workers, address=given["ray_address"]) as (each, count):
        yield {"each": each, "workers": count}
