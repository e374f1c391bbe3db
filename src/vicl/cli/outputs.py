"""Where answers are written: options to a writer, and what is refused before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.files import check_writable, display

if TYPE_CHECKING:
    from vicl.exports.answers import Query
    from vicl.exports.writers import Writer
    from vicl.prompting.prompter import VisualPrompter
    from vicl.scale.taking import Taking


def check_outputs(given: Mapping[str, Any]) -> None:
    """Refuse options that write nothing, and files that are there or cannot be written.

    Raises:
        click.UsageError: If an option goes without another, or a file exists and may not be
            replaced.
        ValueError: If a file cannot be written.
    """
    from vicl.exports.writers import OUTLINED
    from vicl.images import check_suffix

    pictures = given["format_"] == "png"
    if given["output"] is None and (given.get("canvas") or given["overlay"] or not pictures):
        raise click.UsageError("--canvas, --overlay and --format go with --output")
    if given["tolerance"] is not None and given["format_"] not in OUTLINED:
        raise click.UsageError(f"--tolerance goes with --format {', '.join(OUTLINED)}")
    if given["min_area"] is not None and pictures:
        raise click.UsageError("--min-area goes with any --format but png")
    for option, file in (
        ("--save-prompt", given.get("save_prompt")),
        ("--contact-sheet", given.get("contact_sheet")),
    ):
        if file is None:
            continue
        if file.exists() and not given["overwrite"]:
            raise click.UsageError(
                f"{display(file)} exists; --overwrite replaces it, another name or none for "
                f"{option} leaves it"
            )
        check_writable(file)
    if given.get("contact_sheet") is not None:
        check_suffix(given["contact_sheet"])
    if given["output"] is not None:
        check_writable(given["output"])


def open_outputs(
    queries: Sequence[Query], prompter: VisualPrompter, given: Mapping[str, Any]
) -> AbstractContextManager[Writer | None]:
    """Open the writer of the answers; None where they are only printed.

    Raises:
        click.UsageError: If the task's answers have nothing of what is to be written.
        ExportError: As :func:`vicl.exports.writers.open_writer`.
    """
    from vicl.exports.places import check_places
    from vicl.exports.writers import open_writer

    writing = writing_of(prompter, given)
    sources = [
        *(Path(path) for pair in given["examples"] for path in pair),
        *(Path(image) for image, _ in (*given["marked"], *given["clicked"])),
    ]
    sources += [given["prompt"]] if given["prompt"] is not None else []
    if prompter.selector is not None:
        sources += [file for entry in prompter.selector.pool.entries for file in entry.files]
    others = [file for file in (given["save_prompt"], given["contact_sheet"]) if file is not None]
    if given["output"] is None or not queries:
        check_places(dict.fromkeys(queries, ()), inputs=sources, others=others)
        return nullcontext()
    return open_writer(
        given["output"],
        queries,
        **writing,
        sources=sources,
        others=others,
        resume=given["skip_existing"],
        overwrite=given["overwrite"],
    )


def writing_of(prompter: VisualPrompter, given: Mapping[str, Any]) -> dict[str, Any]:
    """How answers are written, wherever they go: options of `open_writer`.

    Raises:
        click.UsageError: If the task's answers have nothing of what is to be written.
    """
    task = prompter.task
    if given["overlay"] and not task.classes:
        raise click.UsageError(f"--overlay shows masks and boxes; {task.name} has neither")
    if task.name == "detection" and not (given["tolerance"] is given["min_area"] is None):
        raise click.UsageError("--tolerance and --min-area are of masks; detection answers boxes")
    return {
        "format": given["format_"],
        "classes": getattr(task, "marks", ()),
        "values": given["values"],
        "masks": task.name != "detection",
        "samples": prompter.settings.samples,
        "beside": _beside(prompter, given),
        "made_by": prompter.made_by(),
        "tolerance": given["tolerance"] or 0.0,
        "min_area": given["min_area"] or 1,
    }


def taking_of(given: Mapping[str, Any]) -> Taking:
    """What is wanted of each answer beside its own file."""
    from vicl.scale.taking import Taking

    return Taking(
        canvas=given["canvas"],
        overlay=given["overlay"],
        objects=given["format_"] == "png",
        rows=given["as_json"],
        counts=given["count"],
    )


def _beside(prompter: VisualPrompter, given: Mapping[str, Any]) -> list[str]:
    """Words of the pictures that stand beside each answer."""
    words = [word for word in ("canvas", "overlay") if given[word]]
    if prompter.settings.instances and given["format_"] == "png" and prompter.task.classes:
        words.append("objects")
    return words


def pending_of(
    queries: Sequence[Query], writer: Writer | None, given: Mapping[str, Any]
) -> Sequence[Query]:
    """The queries whose output is not there already.

    Raises:
        click.UsageError: If there are such outputs, and nobody said what to do with them.
    """
    if writer is None or given["overwrite"]:
        return queries
    done = [query for query in queries if writer.done(query)]
    if done and not given["skip_existing"]:
        raise click.UsageError(
            f"{len(done)} of {len(queries)} outputs exist already (the first: that of "
            f"{display(done[0].path)}); --skip-existing leaves them, --overwrite replaces them"
        )
    there = set(done)
    return [query for query in queries if query not in there]


@contextmanager
def noting_sheet(arguments: Sequence[str], given: Mapping[str, Any]) -> Iterator[None]:
    """Note the contact sheet as vicl's own where a folder of queries holds it."""
    from vicl.exports.record import FolderRecord

    file: Path = given["contact_sheet"]
    folders = [Path(argument).resolve() for argument in arguments if Path(argument).is_dir()]
    if not any(file.resolve().is_relative_to(folder) for folder in folders):
        yield
        return
    with closing(FolderRecord(file.parent, {})) as record, record.noting(file, None):
        yield
