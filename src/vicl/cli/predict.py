"""`vicl predict`: the main job, from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.choosing import CHOOSING, check_choosing, classes_of, selector_of, settle
from vicl.cli.failing import failing, tell
from vicl.cli.inputs import find_queries
from vicl.cli.many import MANY, answer_shards, asking, check_many
from vicl.cli.options import (
    DEBUG,
    DEVICE,
    DTYPE,
    FORMATS,
    MIN_AREA,
    TIME,
    TOLERANCE,
    choice,
    examples,
    flag,
    number,
    options,
    path,
    text,
)
from vicl.cli.outputs import check_outputs, noting_sheet, open_outputs, pending_of, taking_of
from vicl.cli.settings import SAMPLING, SETTINGS, settings_of
from vicl.files import display, is_no_room
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.exports.answers import Answer, Query
    from vicl.prompting.prompter import VisualPrompter


@click.command(
    epilog=examples(
        "# one photograph, by one example",
        "vicl predict cat.jpg --example dog.jpg dog_mask.png --task segmentation -o cat_mask.png",
        "# a folder, two classes, labels to be corrected in LabelMe, and pictures for review",
        "vicl predict photos --example dog.jpg dog_classes.png --task segmentation \\",
        "    --classes dog=1,grass=2 --format labelme --tolerance 1 --overlay -o labels/",
        "# click once on one photograph, run on a folder",
        "vicl predict photos --example-click dog.jpg 120,80 -o dogs/",
        "# the same prompt again and again; go on after a stop",
        "vicl predict --example dog.jpg dog_mask.png --task segmentation --save-prompt dog.vicl",
        "vicl predict photos --prompt dog.vicl --format coco -o dogs.json",
        "vicl predict photos --prompt dog.vicl --format coco -o dogs.json --skip-existing",
        "# every query by the three images of a pool that are most like it",
        "vicl predict photos --pool labelled --examples 3 --task segmentation -o masks/",
        "# the same kept in a prompt file beside the pool, to which it refers",
        "vicl predict --pool labelled --examples 3 --task segmentation --save-prompt near.vicl",
        "vicl predict photos --prompt near.vicl -o near/",
        "# what files a list names, to JSON lines",
        "find photos -name '*.jpg' -print0 | vicl predict - --prompt dog.vicl --json",
    )
)
@click.argument("queries", nargs=-1, metavar="QUERY...")
@options(
    text(
        "--example examples",
        "IN OUT",
        "An example: an image and its output (a picture, or a LabelMe, COCO, YOLO or Pascal VOC "
        "file). Repeat for more.",
        nargs=2,
        multiple=True,
    ),
    text(
        "--box marked",
        "IN [NAME=]X0,Y0,X1,Y1",
        "An example: an image and a box around its object, in pixels. Repeat for more boxes.",
        nargs=2,
        multiple=True,
    ),
    text(
        "--example-click clicked",
        "IN X,Y",
        "An example: an image and a click on its object, whose mask the default segmenter draws. "
        "Repeat for more clicks.",
        nargs=2,
        multiple=True,
    ),
    *CHOOSING,
    choice(
        "--task",
        ("image", "segmentation", "detection", "edges", "colorization"),
        "What the outputs are.  [default: image; of clicks segmentation]",
    ),
    text(
        "--classes",
        "LIST",
        "name=#rrggbb,... or name=value,...: what marks each class in the examples' masks. A name "
        'with a comma or "=" stands in double quotes: \'"traffic light, red"=3,sky=23\'.',
    ),
    flag("--palette", "Draw all classes in one prompt, by their colours."),
    choice(
        "--boxes",
        ("largest", "all"),
        "Detection: read the largest box of each class, or all of them.  [default: largest]",
    ),
    text("--model", "NAME|FOLDER", "The engine; `vicl models` lists them."),
    path("--prompt", "F.vicl", "Take examples, task and engine from a prompt file."),
    flag("--any-model", "With --prompt: accept another model or weights."),
    path("--border", "DIR", "Add a border to the pictures that `vicl tune border` learned."),
    path("--vectors", "DIR", "Answer without an example, as `vicl tune vectors` learned."),
    text(
        "--auto",
        "TIME",
        "Choose engine and views among what is not given, and more or other examples of a pool, by "
        "leaving one out of yours for so long, as 60s.",
        type=TIME,
    ),
    path("--save-prompt", "F.vicl", "Save the prompt for other images."),
    flag(
        "--expected-score",
        "First measure the prompt on its own examples, two or more, by leaving one out.",
    ),
    text("-o --output", "OUT", "A file for one query, else a folder (ending with a slash)."),
    choice(
        "--format format_",
        FORMATS,
        "Of segmentation and detection answers; the others are pictures.",
        "png",
    ),
    choice(
        "--values",
        ("named", "1..n"),
        "Masks as pictures: the values or colours named in --classes, or 1 to n.",
        "named",
    ),
    TOLERANCE,
    MIN_AREA,
    flag(
        "--overlay",
        "Also write NAME.overlay.png: the query with its mask and boxes over it, for review.",
    ),
    flag("--canvas", "Also write NAME.canvas.png: the filled grid."),
    path("--contact-sheet", "FILE", "Draw the examples and the first 50 answers on one page."),
    flag(
        "--all-frames",
        "Answer every frame of an animation and every page of a TIFF: NAME.frame-0001, ...",
    ),
    flag(
        "--count",
        "Print how many objects of each class a query has; with --instances also those that touch.",
    ),
    flag("--json as_json", "Print one JSON object a query."),
    flag("--skip-existing", "Leave queries whose output exists: resume."),
    flag("--overwrite", "Replace outputs that exist."),
    *SETTINGS,
    number("--batch-size", 1, "Queries asked at once.", default=16, metavar="N"),
    *MANY,
    DEVICE,
    DTYPE,
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def predict(queries: tuple[str, ...], **given: Any) -> None:
    """Answer each QUERY as the examples show.

    QUERY is files, folders, globs, or - for a list of files on standard input, a line each or with
    zero bytes between them; or shards of them (*.tar, also at addresses as s3://), whose answers
    are shards of the same names. Finished answers stay whatever happens; run again with
    --skip-existing to go on. The exit code is 0 when all were answered, 1 when some failed, 2 for
    wrong usage, 130 after Ctrl-C.
    """
    with failing(2, debug=given["debug"], stopped=_stopped(0, given)):
        failed = _run(queries, given)
    sys.exit(1 if failed else 0)


def _run(arguments: Sequence[str], given: Mapping[str, Any]) -> int:
    """Answer the queries; gives how many failed."""
    _check(arguments, given)
    from vicl.exports.answers import AnswerSheet

    shards = check_many(arguments, given)
    listed = [] if shards else arguments
    queries = find_queries(listed, out=given["output"], all_frames=given["all_frames"])
    prompter = _prompter(given)
    _hint(prompter, given)
    if given["count"] and not prompter.task.classes:
        raise click.UsageError(f"--count counts masks and boxes; {prompter.task.name} has neither")
    with open_outputs(queries, prompter, given) as writer:
        pending = pending_of(queries, writer, given)
        for note in [] if writer is None else writer.notes:
            click.echo(note, err=True)
        if given["expected_score"]:
            score = prompter.expected_score()
            if score is None:
                raise click.UsageError("--expected-score leaves one example out: give two or more")
            click.echo(f"expected on your images: {score}", err=True)
        if given["save_prompt"] is not None:
            prompter.save(given["save_prompt"])
            click.echo(f"saved the prompt: {display(given['save_prompt'])}", err=True)
        if shards:
            return answer_shards(arguments, prompter, given)
        if not queries:
            return 0
        shown = prompter.passes[0] if prompter.passes else ()
        sheet = AnswerSheet(shown, limit_pixels=given["limit_pixels"])
        taking = taking_of(given)

        def take(query: Query, answer: Answer) -> str:
            """Do with an answer what was asked for; gives the line to print."""
            taken = taking.take(prompter, writer, query, answer)
            if given["contact_sheet"] is not None:
                sheet.add(query, answer)
            if taken.row is not None:
                return json.dumps(taken.row)
            line = "" if taken.written is None else display(taken.written)
            return line if taken.counts is None else taken.count_line(line or display(query.path))

        failed = _answer(prompter, pending, take, given)
    if sheet.queries:
        with noting_sheet(arguments, given):
            sheet.save(given["contact_sheet"])
        click.echo(f"contact sheet: {display(given['contact_sheet'])}", err=True)
    skipped = len(queries) - len(pending)
    parts = [f"{len(pending) - failed} answered"]
    parts += [f"{skipped} skipped (their outputs exist)"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    click.echo(", ".join(parts), err=True)
    return failed


def _check(arguments: Sequence[str], given: Mapping[str, Any]) -> None:
    """Refuse options that contradict one another, before anything is loaded."""
    if "" in arguments or given["output"] == "":
        raise click.UsageError(
            "got an empty name, as of a variable that is not set; . is the folder one is in"
        )
    check_choosing(given)
    own = ("examples", "marked", "clicked", "pool", "vectors")
    shown = any(given[option] for option in own if option != "pool" or given["prompt"] is None)
    if shown == (given["prompt"] is not None):
        raise click.UsageError(
            "give --example IN OUT, --box IN X0,Y0,X1,Y1 or --example-click IN X,Y (one or more), "
            "--pool POOL, --vectors DIR, or --prompt F.vicl"
        )
    kept = any(given[option] for option in ("task", "classes", "palette", "boxes", "border"))
    if given["prompt"] is not None and (kept or given["dtype"] != "auto"):
        raise click.UsageError(
            "--task, --classes, --palette, --boxes, --border and --dtype are in the prompt file "
            "already"
        )
    if given["vectors"] is not None and any(given[option] for option in own[:-1]):
        raise click.UsageError("--vectors stands for the examples: give either")
    _check_auto(given)
    if given["any_model"] and given["prompt"] is None:
        raise click.UsageError("--any-model goes with --prompt")
    if given["skip_existing"] and given["overwrite"]:
        raise click.UsageError("--skip-existing and --overwrite contradict one another")
    if not arguments and given["save_prompt"] is None and not given["expected_score"]:
        raise click.UsageError("give at least one QUERY, or --save-prompt")
    drawing = any(given[str(option.name)] for option in SAMPLING)
    if drawing and (given["samples"] or 1) == 1 and given["prompt"] is None:
        raise click.UsageError("--temperature, --top-k and --coherent go with --samples")
    if arguments and given["output"] is None and not (given["as_json"] or given["count"]):
        raise click.UsageError("give --output OUT (or --json or --count to print results only)")
    check_outputs(given)


def _check_auto(given: Mapping[str, Any]) -> None:
    """Refuse what does not go with choosing anew."""
    if given["auto"] is None:
        return
    if given["prompt"] or given["select"] == "best-of":
        raise click.UsageError(
            "--auto chooses for new examples: --prompt has its choice made, and --select best-of "
            "makes one of its own"
        )
    if given["skip_existing"]:
        raise click.UsageError(
            "--auto may choose otherwise the next time: save what it chose by --save-prompt, and "
            "go on by --prompt with --skip-existing"
        )


def _hint(prompter: VisualPrompter, given: Mapping[str, Any]) -> None:
    """Say so where the examples' outputs look like masks, and nobody said what they are."""
    pairs = list(given["examples"])
    if given["task"] is not None or given["prompt"] is not None:
        return
    if prompter.selector is not None:
        entries = prompter.selector.pool.entries
        if any(entry.is_annotated for entry in entries) and prompter.task.name == "image":
            raise click.UsageError(
                f"{display(given['pool'])}: holds annotations: give --task segmentation or --task "
                "detection; without it answers are pictures"
            )
        pairs = [entry.files for entry in entries[:1]]
    if not pairs or len(pairs[0]) != 2:
        return
    from vicl.images import ImageError, open_image, to_rgb

    def is_flat(path: str | Path) -> bool:
        return to_rgb(open_image(path, limit_pixels=given["limit_pixels"])).getcolors(8) is not None

    shown, output = pairs[0]
    try:
        masks = is_flat(output) and not is_flat(shown)
    except (ImageError, OSError):
        if prompter.selector is None:
            raise
        return  # it may never be an example, and a query that it is one for says so
    if masks:
        click.echo(
            f"{display(output)}: looks like a mask: --task segmentation answers masks, --task "
            "edges lines; without it answers are pictures (--task image says so)",
            err=True,
        )


def _prompter(given: Mapping[str, Any]) -> VisualPrompter:
    from vicl.prompting.prompter import VisualPrompter

    how = settings_of({str(option.name): given[str(option.name)] for option in SETTINGS})
    how |= {"device": given["device"], "limit_pixels": given["limit_pixels"]}
    if given["prompt"] is not None:
        return VisualPrompter.load(
            given["prompt"],
            model=given["model"],
            any_model=given["any_model"],
            pool=given["pool"],
            index=given["index"],
            **how,
        )
    prompter = VisualPrompter(
        given["model"],
        _examples(given) if given["pool"] is None else selector_of(given),
        given["task"] or ("segmentation" if given["clicked"] else "image"),
        classes=classes_of(given),
        palette=given["palette"],
        boxes=given["boxes"] or "largest",
        border=given["border"],
        vectors=given["vectors"],
        dtype=given["dtype"],
        auto=given["auto"] or False,
        **how,
    )
    for trial in () if prompter.choice is None else prompter.choice.trials:
        click.echo(f"tried {trial}", err=True)
    if prompter.choice is not None:
        click.echo(str(prompter.choice), err=True)
    settle(prompter, given)
    return prompter


def _examples(given: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The examples that were given: files, and images with boxes or clicks of their own."""
    from vicl.exports.shapes import parse_boxes

    by_image: dict[str, list[str]] = {}
    for image, box in given["marked"]:
        by_image.setdefault(image, []).append(box)
    marked = [(image, parse_boxes(boxes, f"--box {image}")) for image, boxes in by_image.items()]
    return [*given["examples"], *marked, *_clicked(given)]


def _clicked(given: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Images with the masks of the clicks on them."""
    if not given["clicked"]:
        return []
    from vicl.cli.segment import parse_point
    from vicl.images import open_image
    from vicl.loading import load_segmenter
    from vicl.prompt import MaskPrompt

    by_image: dict[str, list[tuple[float, float]]] = {}
    for image, point in given["clicked"]:
        by_image.setdefault(image, []).append(parse_point("--example-click", point))
    segmenter, found = load_segmenter(device=given["device"]), []
    for image, points in by_image.items():
        opened = open_image(image, limit_pixels=given["limit_pixels"])
        masks = segmenter.encode(opened).many([MaskPrompt(points)])[0]
        share = 100 * masks.masks[0].mean()
        if not share:
            raise click.UsageError(
                f"--example-click {image}: nothing is found there; click elsewhere on the thing, "
                "or more than once, or draw its mask"
            )
        told = f"{display(image)}: the mask of the click covers {share:.1f}% of it, score "
        click.echo(f"{told}{masks.scores[0]:.2f}", err=True)
        found.append((image, masks.masks[0]))
    return found


def _answer(
    prompter: VisualPrompter,
    queries: Sequence[Query],
    take: Callable[[Query, Answer], str],
    given: Mapping[str, Any],
) -> int:
    """Answer queries as they come, whatever becomes of single ones; gives how many failed."""
    failed = answered = 0

    def fail(path: Any, error: Exception) -> None:
        nonlocal failed
        failed += 1
        named = Path(path).name in str(error)
        tell(error, "" if named else f"{display(path)}: {error}", debug=given["debug"])
        if given["as_json"]:
            click.echo(json.dumps({"query": str(path), "error": str(error)}))
        advance()

    try:
        with progress("answering", total=len(queries)) as advance, asking(prompter, given) as ask:
            for answer in ask([query.image for query in queries], fail):
                query = queries[answer.index]
                try:
                    line = take(query, answer)
                except (ValueError, OSError) as error:
                    if is_no_room(error):
                        raise OSError(
                            f"{error}; stopped, since no further answer could be written: "
                            f"{answered} answered; make room, then run again with --skip-existing"
                        ) from error
                    fail(query.path, error)
                    continue
                del answer  # it may be large, and its successor is to be made without it
                answered += 1
                click.echo(line)
                advance()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_stopped(answered, given)) from error
    return failed


def _stopped(answered: int, given: Mapping[str, Any]) -> str:
    """What to say after Ctrl-C."""
    go_on = "" if given["output"] is None else "; go on with --skip-existing"
    return f"stopped: {answered} answered{go_on}"
