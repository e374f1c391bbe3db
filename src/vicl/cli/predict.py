"""`vicl predict`: the main job, from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing, tell
from vicl.cli.inputs import find_queries
from vicl.cli.options import COUNT, DEBUG, DEVICE, PATH, options
from vicl.cli.settings import SAMPLING, SETTINGS, settings_of
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.exports.answers import Answer, AnswerSheet, Query
    from vicl.exports.writers import Writer
    from vicl.prompting.prompter import VisualPrompter


@click.command()
@click.argument("queries", nargs=-1, metavar="QUERY...")
@click.option(
    "--example",
    "examples",
    nargs=2,
    multiple=True,
    metavar="IN OUT",
    help="An example: an image and its output. Repeat for more.",
)
@click.option(
    "--task",
    type=click.Choice(("image", "segmentation", "detection", "edges", "colorization")),
    help="What the outputs are.  [default: image]",
)
@click.option(
    "--classes",
    metavar="LIST",
    help="name=#rrggbb,... or name=value,...: what marks each class in the examples' masks.",
)
@click.option("--palette", is_flag=True, help="Draw all classes in one prompt, by their colours.")
@click.option("--model", metavar="NAME|FOLDER", help="The engine; `vicl models` lists them.")
@click.option(
    "--prompt",
    type=PATH,
    metavar="F.vicl",
    help="Take examples, task and engine from a prompt file.",
)
@click.option("--any-model", is_flag=True, help="With --prompt: accept another model or weights.")
@click.option(
    "--save-prompt", type=PATH, metavar="F.vicl", help="Save the prompt for other images."
)
@click.option(
    "--expected-score",
    is_flag=True,
    help="First measure the prompt on its own examples, two or more, by leaving one out.",
)
@click.option(
    "-o", "--output", type=PATH, metavar="OUT", help="A file for one query, else a folder."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(("png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme")),
    default="png",
    help="Of segmentation and detection answers; the others are pictures.",
)
@click.option("--canvas", is_flag=True, help="Also write NAME.canvas.png: the filled grid.")
@click.option(
    "--contact-sheet",
    type=PATH,
    metavar="FILE",
    help="Draw the examples and the first 50 answers on one page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a query.")
@click.option("--skip-existing", is_flag=True, help="Leave queries whose output exists: resume.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@options(*SETTINGS)
@click.option("--batch-size", type=COUNT, default=16, metavar="N")
@options(DEVICE)
@click.option(
    "--limit-pixels",
    type=COUNT,
    default=64_000_000,
    metavar="N",
    help="Refuse images with more pixels.",
)
@options(DEBUG)
def predict(queries: tuple[str, ...], **given: Any) -> None:
    """Answer each QUERY as the examples show.

    QUERY is files, folders, globs, or - for a list of files on standard input. Finished answers
    stay whatever happens; run again with --skip-existing to go on.
    """
    hint = "stopped; run again with --skip-existing to go on"
    with failing(2, debug=given["debug"], stopped=hint):
        failed = _run(queries, given)
    sys.exit(1 if failed else 0)


def _run(arguments: Sequence[str], given: Mapping[str, Any]) -> int:
    """Answer the queries; gives how many failed."""
    _check(arguments, given)
    queries = find_queries(arguments)
    prompter = _prompter(given)
    with ExitStack() as stack:
        writer = _writer(queries, prompter, given, stack)
        pending = _pending(queries, writer, given)
        if given["expected_score"]:
            score = prompter.expected_score()
            if score is None:
                raise click.UsageError("--expected-score leaves one example out: give two or more")
            click.echo(f"expected on your images: {score}", err=True)
        if given["save_prompt"] is not None:
            prompter.save(given["save_prompt"])
            click.echo(f"saved the prompt: {given['save_prompt']}", err=True)
        if not queries:
            return 0
        sheet = _sheet(prompter, given)
        failed = _answer(prompter, pending, _taker(prompter, writer, sheet, given), given)
    if sheet is not None and sheet.queries:
        sheet.save(given["contact_sheet"])
        click.echo(f"contact sheet: {given['contact_sheet']}", err=True)
    skipped = len(queries) - len(pending)
    parts = [f"{len(pending) - failed} answered"]
    parts += [f"{skipped} skipped (their outputs exist)"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    click.echo(", ".join(parts), err=True)
    return failed


def _check(arguments: Sequence[str], given: Mapping[str, Any]) -> None:
    """Refuse options that contradict one another, before anything is loaded."""
    if bool(given["examples"]) == (given["prompt"] is not None):
        raise click.UsageError("give --example IN OUT (one or more), or --prompt F.vicl")
    if given["prompt"] is not None and (given["task"] or given["classes"] or given["palette"]):
        raise click.UsageError("--task, --classes and --palette are in the prompt file already")
    if given["any_model"] and given["prompt"] is None:
        raise click.UsageError("--any-model goes with --prompt")
    if given["skip_existing"] and given["overwrite"]:
        raise click.UsageError("--skip-existing and --overwrite contradict one another")
    if not arguments and given["save_prompt"] is None and not given["expected_score"]:
        raise click.UsageError("give at least one QUERY, or --save-prompt")
    drawing = any(given[str(option.name)] for option in SAMPLING)
    if drawing and (given["samples"] or 1) == 1 and given["prompt"] is None:
        raise click.UsageError("--temperature, --top-k and --coherent go with --samples")
    if arguments and given["output"] is None and not given["as_json"]:
        raise click.UsageError("give --output OUT (or --json to print results only)")
    if given["output"] is None and (given["canvas"] or given["format_"] != "png"):
        raise click.UsageError("--canvas and --format go with --output")
    saved = given["save_prompt"]
    if saved is not None and saved.exists() and not given["overwrite"]:
        raise click.UsageError(f"{saved} exists; --overwrite replaces it")


def _prompter(given: Mapping[str, Any]) -> VisualPrompter:
    from vicl.prompting.prompter import VisualPrompter

    how = settings_of({str(option.name): given[str(option.name)] for option in SETTINGS})
    how |= {"device": given["device"], "limit_pixels": given["limit_pixels"]}
    if given["prompt"] is not None:
        return VisualPrompter.load(
            given["prompt"], model=given["model"], any_model=given["any_model"], **how
        )
    return VisualPrompter(
        given["model"],
        given["examples"],
        given["task"] or "image",
        classes=given["classes"],
        palette=given["palette"],
        **how,
    )


def _writer(
    queries: Sequence[Query],
    prompter: VisualPrompter,
    given: Mapping[str, Any],
    stack: ExitStack,
) -> Writer | None:
    from vicl.exports.writers import open_writer

    if given["output"] is None or not queries:
        return None
    if given["format_"].startswith("coco") and prompter.settings.samples > 1:
        raise click.UsageError("--samples: a COCO file holds one answer a query")
    return stack.enter_context(
        open_writer(
            given["output"],
            queries,
            format=given["format_"],
            classes=prompter.task.classes,
            sources=[Path(path) for pair in given["examples"] for path in pair],
            resume=given["skip_existing"],
            overwrite=given["overwrite"],
        )
    )


def _pending(
    queries: Sequence[Query], writer: Writer | None, given: Mapping[str, Any]
) -> Sequence[Query]:
    """The queries whose output is not there already."""
    if writer is None or given["overwrite"]:
        return queries
    done = [query for query in queries if writer.done(query)]
    if done and not given["skip_existing"]:
        raise click.UsageError(
            f"{len(done)} of {len(queries)} outputs exist already (the first: that of "
            f"{done[0].path}); --skip-existing leaves them, --overwrite replaces them"
        )
    there = set(done)
    return [query for query in queries if query not in there]


def _sheet(prompter: VisualPrompter, given: Mapping[str, Any]) -> AnswerSheet | None:
    from vicl.exports.answers import AnswerSheet

    if given["contact_sheet"] is None:
        return None
    return AnswerSheet(prompter.passes[0], limit_pixels=given["limit_pixels"])


Take = Callable[["Query", "Answer"], str]
"""Does with an answer what was asked for, and gives the line to print."""


def _taker(
    prompter: VisualPrompter,
    writer: Writer | None,
    sheet: AnswerSheet | None,
    given: Mapping[str, Any],
) -> Take:
    from vicl.exports.answers import as_row
    from vicl.images import save_image

    def take(query: Query, answer: Answer) -> str:
        written = None if writer is None else writer.write(query, answer)
        if given["canvas"] and writer is not None:
            canvas = prompter.canvas(query.path, answer)
            save_image(canvas, writer.beside(query, "canvas"), inputs=[query.path])
        if sheet is not None:
            sheet.add(query, answer)
        return json.dumps(as_row(query, answer, written)) if given["as_json"] else str(written)

    return take


def _answer(
    prompter: VisualPrompter, queries: Sequence[Query], take: Take, given: Mapping[str, Any]
) -> int:
    """Answer queries as they come, whatever becomes of single ones; gives how many failed."""
    failed = 0

    def fail(path: Any, error: Exception) -> None:
        nonlocal failed
        failed += 1
        named = Path(path).name in str(error)
        tell(error, "" if named else f"{path}: {error}", debug=given["debug"])
        advance()

    with progress("answering", total=len(queries)) as advance:
        paths = [query.path for query in queries]
        for answer in prompter.map(paths, batch_size=given["batch_size"], on_error=fail):
            query = queries[answer.index]
            try:
                line = take(query, answer)
            except (ValueError, OSError) as error:
                fail(query.path, error)
                continue
            click.echo(line)
            advance()
    return failed
