"""`vicl ask`: photographs to words, as examples show."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing, one_line, tell
from vicl.cli.inputs import find_queries
from vicl.cli.options import DEBUG, DEVICE, SEED, examples, flag, number, options, path, text
from vicl.files import check_writable, display, is_no_room
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.adapters.vision_language import Reply, VisionLanguage
    from vicl.exports.answers import Query
    from vicl.exports.replies import Replies


@click.command(
    epilog=examples(
        "# few-shot classification: each photograph is one of the choices, with chances",
        'vicl ask photos --example a.jpg ripe --example b.jpg unripe --choices "ripe,unripe" \\',
        "    --model hub:HuggingFaceTB/SmolVLM-Instruct -o answers.jsonl",
        "# go on after a stop",
        'vicl ask photos --example a.jpg ripe --example b.jpg unripe --choices "ripe,unripe" \\',
        "    --model hub:HuggingFaceTB/SmolVLM-Instruct -o answers.jsonl --skip-existing",
        "# captions in the examples' manner, and a question without examples",
        'vicl ask cat.jpg --example dog.jpg "a dog on a lawn" --model smolvlm-folder',
        'vicl ask cat.jpg --question "What colour is the animal?" --model smolvlm-folder --json',
    )
)
@click.argument("photos", nargs=-1, metavar="PHOTO...")
@options(
    text(
        "--example examples",
        "IMAGE ANSWER",
        "A photograph and its answer, in words. Repeat for more.",
        nargs=2,
        multiple=True,
    ),
    text("--question", "WORDS", "Asked of every photograph, the examples' too."),
    text(
        "--choices",
        "LIST",
        "What an answer may be: a,b,... Each gets its chance; one with a comma stands in double "
        "quotes.",
    ),
    text("--model", "FOLDER|hub:ID", "The vision-language model (vicl models)."),
    number("--max-tokens", 1, "Most pieces of words of an answer.", default=64, metavar="N"),
    click.Option(
        ["--temperature"],
        type=click.FloatRange(min=0),
        metavar="T",
        default=0.0,
        help="0: the likeliest words; above: drawn ones.",
    ),
    SEED,
    flag("--detail", "Look at photographs in tiles, too, or larger: finer, and slower."),
    path("-o --output", "FILE.jsonl", "A file of answers, a JSON object a line."),
    flag("--json as_json", "Print one JSON object a photograph."),
    flag("--skip-existing", "Leave photographs that the file has the answer of: resume."),
    flag("--overwrite", "Replace the file."),
    DEVICE,
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def ask(photos: tuple[str, ...], **given: Any) -> None:
    """Answer each PHOTO with words, as the examples show.

    PHOTO is files, folders, globs, or - for a list of files on standard input. Prints the answers;
    finished ones stay in the file whatever happens. The exit code is 0 when all were answered, 1
    when some failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    full = "give fewer examples, no --detail, or a smaller model"
    go_on = "" if given["output"] is None else "; go on with --skip-existing"
    with failing(2, debug=given["debug"], full=full, stopped=f"stopped{go_on}"):
        failed = _run(photos, given)
    sys.exit(1 if failed else 0)


def _run(arguments: Sequence[str], given: Mapping[str, Any]) -> int:
    """Answer the photographs; gives how many failed."""
    _check(arguments, given)
    from vicl.images import open_image, to_rgb
    from vicl.loading import load_vlm

    choices = _choices(given["choices"])
    queries = find_queries(arguments)
    limit = given["limit_pixels"]
    shown = [
        (to_rgb(open_image(image, limit_pixels=limit)), answer)
        for image, answer in given["examples"]
    ]
    vlm = load_vlm(given["model"], device=given["device"])
    how = {name: given[name] for name in ("max_tokens", "temperature", "seed", "detail")}
    with _opened(vlm, choices, how, given) as replies:
        pending = [query for query in queries if replies is None or not replies.done(query)]

        def answer(query: Query) -> Reply:
            photo = to_rgb(open_image(query.path, limit_pixels=limit))
            return vlm.ask(
                photo, examples=shown, question=given["question"], choices=choices, **how
            )

        failed = _answer(pending, answer, replies, given)
    parts = [f"{len(pending) - failed} answered"]
    skipped = len(queries) - len(pending)
    parts += [f"{skipped} skipped (the file has their answers)"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    click.echo(", ".join(parts), err=True)
    return failed


def _check(arguments: Sequence[str], given: Mapping[str, Any]) -> None:
    """Refuse options that contradict one another, before anything is loaded."""
    if not arguments or "" in arguments:
        raise click.UsageError("give at least one PHOTO")
    if given["model"] is None:
        raise click.UsageError(
            "give --model FOLDER or --model hub:owner/name: no vision-language model comes with "
            "vicl; vicl models lists which there are"
        )
    if not given["examples"] and not given["question"]:
        raise click.UsageError("give --example IMAGE ANSWER (one or more), or --question WORDS")
    if given["choices"] is not None and given["temperature"]:
        raise click.UsageError("--temperature draws words; with --choices nothing is drawn")
    output = given["output"]
    if given["skip_existing"] and given["overwrite"]:
        raise click.UsageError("--skip-existing and --overwrite contradict one another")
    if output is None:
        if given["skip_existing"] or given["overwrite"]:
            raise click.UsageError("--skip-existing and --overwrite go with --output")
        return
    from vicl.exports.replies import SUFFIX

    if output.suffix != SUFFIX:
        raise click.UsageError(
            f"--output: got {display(output)}, expected a name that ends with {SUFFIX}: answers "
            "are written as JSON lines"
        )
    if output.exists() and not (given["skip_existing"] or given["overwrite"]):
        raise click.UsageError(
            f"{display(output)} exists; --skip-existing goes on with it, --overwrite replaces it"
        )
    check_writable(output)


def _choices(written: str | None) -> tuple[str, ...]:
    if written is None:
        return ()
    found = next(csv.reader([written], skipinitialspace=True), [])
    return tuple(choice.strip() for choice in found)


def _opened(
    vlm: VisionLanguage, choices: Sequence[str], how: Mapping[str, Any], given: Mapping[str, Any]
) -> AbstractContextManager[Replies | None]:
    """The file of answers, to be closed; None where they are only printed."""
    if given["output"] is None:
        return nullcontext()
    from vicl.exports.record import digest_of
    from vicl.exports.replies import Replies

    shown = [[digest_of(Path(image)), answer] for image, answer in given["examples"]]
    made_by = {
        "model": {"weights": vlm.weights_hash},
        "examples": hashlib.sha256(json.dumps(shown).encode()).hexdigest(),
        "question": given["question"],
        "choices": list(choices),
        "settings": dict(how),
    }
    return closing(Replies(given["output"], made_by, resume=not given["overwrite"]))


def _answer(
    queries: Sequence[Query],
    answer: Callable[[Query], Reply],
    replies: Replies | None,
    given: Mapping[str, Any],
) -> int:
    """Answer photographs in order, whatever becomes of single ones; gives how many failed."""
    failed = 0
    with progress("answering", total=len(queries)) as advance:
        for query in queries:
            try:
                reply = answer(query)
                row: dict[str, Any] = {"query": str(query.path), "answer": reply.text}
                row |= {"choices": dict(reply.choices)} if reply.choices else {}
                if replies is not None:
                    replies.write(query, row)
            except (ValueError, OSError) as error:
                if is_no_room(error):
                    raise
                failed += 1
                named = query.path.name in str(error)
                message = "" if named else f"{display(query.path)}: {error}"
                tell(error, message, debug=given["debug"])
                if given["as_json"]:
                    click.echo(json.dumps({"query": str(query.path), "error": str(error)}))
            else:
                chance = reply.choices.get(reply.text)
                sure = "" if chance is None else f" ({chance:.2f})"
                line = f"{display(query.path)}: {one_line(reply.text)}{sure}"
                click.echo(json.dumps(row) if given["as_json"] else line)
            advance()
    return failed
