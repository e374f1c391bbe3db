"""Past one core: who answers the queries of `vicl predict`, and whole shards of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import tell
from vicl.cli.options import choice, number, text
from vicl.cli.outputs import taking_of, writing_of
from vicl.files import check_writable, display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.prompting.prompter import VisualPrompter
    from vicl.scale.asking import Ask
    from vicl.scale.shards import ShardJob, ShardReport

ENGINE = (
    choice(
        "--engine",
        ("local", "ray"),
        "Work on this machine, or on a Ray cluster (vicl[ray]).",
        "local",
    ),
    text(
        "--ray-address",
        "ADDRESS",
        "The Ray cluster.  [default: one of this machine alone, for this command]",
    ),
)

MANY = (
    number(
        "--workers",
        1,
        "Processes that answer, one query each at a time on one thread; they share the model. "
        "Answers do not depend on their number.  [default: this process; of ray all cores]",
        metavar="N",
    ),
    *ENGINE,
)
"""The options."""


def check_engine(given: Mapping[str, Any]) -> None:
    """Refuse an address that nothing would look at.

    Raises:
        click.UsageError: If the engine is not Ray.
    """
    if given["ray_address"] is not None and given["engine"] != "ray":
        raise click.UsageError("--ray-address goes with --engine ray")


def check_many(arguments: Sequence[str], given: Mapping[str, Any]) -> bool:
    """Whether the queries are shards; refuses what does not go together.

    Raises:
        click.UsageError: If an option does not suit.
    """
    from vicl.scale.places import is_shards, is_url

    check_engine(given)
    shards = [argument for argument in arguments if is_shards(argument)]
    if given["output"] is not None and is_url(given["output"]) and not shards:
        raise click.UsageError("--output: only answers to shards (*.tar) go to an address")
    if not shards:
        return False
    if len(shards) < len(arguments):
        raise click.UsageError("shards (*.tar) and images are answered apart: two commands")
    if given["output"] is None:
        raise click.UsageError("the answers to shards are shards: give --output FOLDER")
    for option in ("contact_sheet", "all_frames"):
        if given[option]:
            name = option.replace("_", "-")
            raise click.UsageError(f"--{name} goes with files and folders, not with shards")
    if not is_url(given["output"]):
        check_writable(given["output"])
        if Path(given["output"]).is_file():
            raise click.UsageError("--output: shards of answers go into a folder")
    return True


@contextmanager
def asking(prompter: VisualPrompter, given: Mapping[str, Any]) -> Iterator[Ask]:
    """What answers queries, as the options say."""
    size = given["batch_size"]
    if given["engine"] == "ray":
        with _on_ray(prompter, given) as engine:
            yield engine.map
    elif given["workers"] is not None:
        from vicl.scale.pool import Pool

        with Pool(prompter, given["workers"], batch_size=size) as pool:
            yield pool.map
    else:
        yield lambda queries, fail: prompter.map(queries, batch_size=size, on_error=fail)


def answer_shards(
    arguments: Sequence[str], prompter: VisualPrompter, given: Mapping[str, Any]
) -> int:
    """Answer shards; gives how many images and shards failed."""
    from vicl.scale.shards import ShardJob, put_companions

    writing = writing_of(prompter, given)
    job = ShardJob(
        out=given["output"],
        taking=taking_of(given),
        writing=writing,
        made_by={
            **prompter.made_by(),
            **{name: given[name] for name in ("canvas", "overlay")},
            **{name: writing[name] for name in ("format", "values", "tolerance", "min_area")},
        },
    )
    shards, pending = _pending(arguments, job, given)
    answered = failed = written = 0
    try:
        with progress("answering shards", total=len(pending)) as advance:
            for report in _reports(pending, job, prompter, given):
                put_companions(job.out, report.companions)
                for said in report.said:
                    _tell(report, said, given)
                if not given["as_json"] and report.target is not None:
                    click.echo(display(report.target))
                answered, failed = answered + report.answered, failed + len(report.failed)
                written += report.target is not None
                advance()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"stopped: {written} shards answered; go on with --skip-existing"
        ) from error
    skipped = len(shards) - len(pending)
    parts = [f"{answered} answered in {written} shards"]
    parts += [f"{skipped} shards skipped (their outputs exist)"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    click.echo(", ".join(parts), err=True)
    return failed


def _on_ray(prompter: VisualPrompter, given: Mapping[str, Any]) -> Any:
    from vicl.scale.on_ray import open_ray

    return open_ray(
        prompter,
        workers=given["workers"],
        address=given["ray_address"],
        batch_size=given["batch_size"],
    )


def _pending(
    arguments: Sequence[str], job: ShardJob, given: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """The shards, and those of them that are to be answered."""
    from vicl.scale.places import expand, size_of

    shards = list(dict.fromkeys(shard for one in arguments for shard in expand(one)))
    targets: dict[str, str] = {}
    for shard in shards:
        target = job.target(shard)
        if target in targets:
            raise click.UsageError(
                f"{display(shard)} and {display(targets[target])} have one name; answer them apart"
            )
        targets[target] = shard
    own = {Path(shard).resolve() for shard in shards}
    clash = next((t for t in targets if Path(t).resolve() in own or t in shards), None)
    if clash is not None:
        raise click.UsageError(f"{display(clash)} is one of the inputs; give another --output")
    if given["overwrite"]:
        return shards, shards
    if given["skip_existing"]:
        return shards, [shard for shard in shards if not job.is_done(shard)]
    there = [target for target in targets if size_of(target) is not None]
    if there:
        raise click.UsageError(
            f"{len(there)} of {len(shards)} outputs exist already (the first: "
            f"{display(there[0])}); --skip-existing leaves them, --overwrite replaces them"
        )
    return shards, shards


def _reports(
    shards: Sequence[str], job: ShardJob, prompter: VisualPrompter, given: Mapping[str, Any]
) -> Iterator[ShardReport]:
    from vicl.scale.shards import answer_shard

    if given["engine"] == "ray":
        with _on_ray(prompter, given) as engine:
            yield from engine.shards(shards, job)
        return
    with asking(prompter, given) as ask:
        yield from map(partial(answer_shard, job=job, prompter=prompter, ask=ask), shards)


def _tell(report: ShardReport, said: Any, given: Mapping[str, Any]) -> None:
    if isinstance(said, tuple):
        name, what = said
        tell(ValueError(what))
        if given["as_json"]:
            click.echo(json.dumps({"shard": report.shard, "query": name, "error": what}))
    else:
        click.echo(json.dumps(said) if isinstance(said, dict) else said)
