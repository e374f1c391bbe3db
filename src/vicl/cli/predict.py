"""`vicl predict`: the main job, from the command line."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.inputs import Query, find_queries
from vicl.cli.outputs import FORMATS, CocoFile, FileWriter, Writer, beside

if TYPE_CHECKING:
    from vicl.prompting.answer import Answer
from vicl.prompting.prompter import VisualPrompter

SHEET_ROWS = 50
"""A contact sheet shows the first this many answers."""


def _tile(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    """A number of pixels, or one of two words."""
    if value is None or value in ("auto", "whole"):
        return value
    if not value.isdecimal() or int(value) < 16:
        raise click.BadParameter(f"got {value!r}, expected 'auto', 'whole' or at least 16 pixels")
    return int(value)


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
    "prompt_file",
    type=click.Path(path_type=Path),
    metavar="F.vicl",
    help="Take examples, task and engine from a prompt file.",
)
@click.option("--any-model", is_flag=True, help="With --prompt: accept another model or weights.")
@click.option(
    "--save-prompt",
    type=click.Path(path_type=Path),
    metavar="F.vicl",
    help="Save the prompt for other images.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="A file for one query, else a folder.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="png",
    show_default=True,
    help="Of segmentation and detection answers; the others are pictures.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    metavar="N",
    help="Give up to N different answers, best first.  [default: 1]",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    metavar="T",
    help="Of drawn answers: below 1 nearer to the likeliest, above 1 more varied.  [default: 1]",
)
@click.option(
    "--top-k",
    type=click.IntRange(1),
    metavar="K",
    help="Draw among the K likeliest tokens of each place only.",
)
@click.option(
    "--coherent", is_flag=True, help="Draw all places of an answer alike, not each by itself."
)
@click.option("--canvas", is_flag=True, help="Also write NAME.canvas.png: the filled grid.")
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Draw the examples and the first {SHEET_ROWS} answers on one page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a query.")
@click.option("--skip-existing", is_flag=True, help="Leave queries whose output exists: resume.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option(
    "--tile",
    callback=_tile,
    metavar="PX|auto|whole",
    help="Answer large queries in overlapping tiles of PX pixels, or whole.  [default: auto]",
)
@click.option(
    "--upsampling",
    type=click.Choice(("guided", "bicubic")),
    help="How answers smaller than the query are enlarged.  [default: guided]",
)
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True, metavar="N")
@click.option(
    "--device", type=click.Choice(("auto", "cpu", "cuda", "mps")), default="auto", show_default=True
)
@click.option("--seed", type=int, metavar="N", help="[default: 0]")
@click.option(
    "--limit-pixels",
    type=click.IntRange(1),
    default=64_000_000,
    show_default=True,
    metavar="N",
    help="Refuse images with more pixels.",
)
@click.option("--debug", is_flag=True, help="Show traces with errors.")
def predict(queries: tuple[str, ...], **options: Any) -> None:
    """Answer each QUERY as the examples show.

    QUERY is files, folders, globs, or - for a list of files on standard input. Finished answers
    stay whatever happens; run again with --skip-existing to go on.
    """
    run = Run(**options)
    try:
        failed = run.start(queries)
    except (ValueError, OSError) as error:
        run.report(str(error), error)
        sys.exit(2)
    sys.exit(1 if failed else 0)


@dataclass(frozen=True)
class Run:
    """One run of `vicl predict`: its options, and what they lead to."""

    examples: tuple[tuple[str, str], ...]
    task: str | None
    classes: str | None
    palette: bool
    model: str | None
    prompt_file: Path | None
    any_model: bool
    save_prompt: Path | None
    output: Path | None
    format_: str
    samples: int | None
    temperature: float | None
    top_k: int | None
    coherent: bool
    canvas: bool
    contact_sheet: Path | None
    as_json: bool
    skip_existing: bool
    overwrite: bool
    tile: int | str | None
    upsampling: str | None
    batch_size: int
    device: str
    seed: int | None
    limit_pixels: int
    debug: bool
    errors: list[str] = field(default_factory=list)

    def start(self, arguments: Sequence[str]) -> int:
        """Answer the queries; gives how many failed."""
        self._check(arguments)
        queries = find_queries(arguments)
        prompter = self._prompter()
        expected = prompter.expected_score()
        if expected is not None:
            click.echo(f"expected on your images: {expected}", err=True)
        if self.save_prompt is not None:
            if self.save_prompt.exists() and not self.overwrite:
                raise click.UsageError(f"{self.save_prompt} exists; --overwrite replaces it")
            prompter.save(self.save_prompt)
            click.echo(f"saved the prompt: {self.save_prompt}", err=True)
        if not queries:
            return 0
        with ExitStack() as stack:
            writer = self._writer(queries, prompter, stack)
            pending = queries
            if writer is not None and not self.overwrite:
                pending = [query for query in queries if not writer.done(query)]
                if len(pending) < len(queries) and not self.skip_existing:
                    there = next(query for query in queries if writer.done(query))
                    raise click.UsageError(
                        f"{len(queries) - len(pending)} of {len(queries)} outputs exist already "
                        f"(the first: that of {there.path}); --skip-existing leaves them, "
                        "--overwrite replaces them"
                    )
            rows = self._answer(pending, prompter, writer, stack)
        if self.contact_sheet is not None and rows:
            self._draw_sheet(prompter, rows)
        self._summarise(len(pending), len(queries) - len(pending))
        return len(self.errors)

    def _check(self, arguments: Sequence[str]) -> None:
        """Refuse options that contradict one another."""
        if bool(self.examples) == (self.prompt_file is not None):
            raise click.UsageError("give --example IN OUT (one or more), or --prompt F.vicl")
        if self.prompt_file is not None and (self.task or self.classes or self.palette):
            raise click.UsageError("--task, --classes and --palette are in the prompt file already")
        if self.any_model and self.prompt_file is None:
            raise click.UsageError("--any-model goes with --prompt")
        if self.skip_existing and self.overwrite:
            raise click.UsageError("--skip-existing and --overwrite contradict one another")
        if not arguments and self.save_prompt is None:
            raise click.UsageError("give at least one QUERY, or --save-prompt")
        drawing = self.temperature or self.top_k or self.coherent
        if drawing and (self.samples or 1) == 1 and self.prompt_file is None:
            raise click.UsageError("--temperature, --top-k and --coherent go with --samples")
        if arguments and self.output is None and not self.as_json:
            raise click.UsageError("give --output OUT (or --json to print results only)")
        if self.output is None and (self.canvas or self.format_ != "png"):
            raise click.UsageError("--canvas and --format go with --output")

    def _prompter(self) -> VisualPrompter:
        from vicl.engine import Sampling
        from vicl.prompting.prompter import VisualPrompter

        given = {
            "samples": self.samples,
            "seed": self.seed,
            "tile": self.tile,
            "upsampling": self.upsampling,
        }
        options: dict[str, Any] = {key: v for key, v in given.items() if v is not None}
        if self.temperature or self.top_k or self.coherent:
            options["sampling"] = Sampling(self.temperature or 1.0, self.top_k, self.coherent)
        options |= {"device": self.device, "limit_pixels": self.limit_pixels}
        if self.prompt_file is not None:
            prompter = VisualPrompter.load(
                self.prompt_file, model=self.model, any_model=self.any_model, **options
            )
        else:
            prompter = VisualPrompter(
                self.model,
                self.examples,
                self.task or "image",
                classes=self.classes,
                palette=self.palette,
                **options,
            )
        if self.format_ != "png" and prompter.task.name not in ("segmentation", "detection"):
            raise click.UsageError(
                f"--format {self.format_} holds masks and boxes, but the task is "
                f"{prompter.task.name}; its answers are pictures (png)"
            )
        if self.format_ in ("coco", "coco-polygons") and prompter.settings.samples > 1:
            raise click.UsageError("--samples: a COCO file holds one answer a query")
        return prompter

    def _writer(
        self, queries: Sequence[Query], prompter: VisualPrompter, stack: ExitStack
    ) -> Writer | None:
        if self.output is None:
            return None
        if self.format_.startswith("coco"):
            return CocoFile(
                self.output,
                polygons=self.format_ == "coco-polygons",
                classes=prompter.task.classes,
                resume=self.skip_existing,
                overwrite=self.overwrite,
                stack=stack,
            )
        return FileWriter(
            self.output,
            queries,
            format=self.format_,
            classes=prompter.task.classes,
            sources=[Path(path) for pair in self.examples for path in pair],
        )

    def _answer(
        self,
        pending: Sequence[Query],
        prompter: VisualPrompter,
        writer: Writer | None,
        stack: ExitStack,
    ) -> list[tuple[Query, Answer]]:
        """Answer and write; gives what the contact sheet shows."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        console = Console(stderr=True)
        progress = stack.enter_context(
            Progress(
                "{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                disable=not console.is_terminal,
                transient=True,
                # Results go to a pipe even while the bar is drawn on a terminal.
                redirect_stdout=sys.stdout.isatty(),
            )
        )
        bar = progress.add_task("answering", total=len(pending))
        kept: list[tuple[Query, Answer]] = []

        def failed(path: Any, error: Exception) -> None:
            self.errors.append(str(path))
            self.report(str(error), error, path=Path(path))
            progress.advance(bar)

        answers = prompter.map(
            [query.path for query in pending], batch_size=self.batch_size, on_error=failed
        )
        for answer in answers:
            query = pending[answer.index]
            try:
                written = None if writer is None else self._write(writer, query, answer, prompter)
            except (ValueError, OSError) as error:
                failed(query.path, error)
                continue
            if self.as_json:
                click.echo(json.dumps(_as_json(query, answer, written)))
            else:
                click.echo(str(written))
            if self.contact_sheet is not None and len(kept) < SHEET_ROWS:
                kept.append((query, answer))
            progress.advance(bar)
        return kept

    def _write(
        self, writer: Writer, query: Query, answer: Answer, prompter: VisualPrompter
    ) -> Path:
        from vicl.images import save_image

        written = writer.write(query, answer)
        if self.canvas:
            folder = written.parent if isinstance(writer, CocoFile) else None
            target = folder / query.relative if folder else written
            canvas = answer.canvas or prompter.canvas(query.path, answer)
            save_image(canvas, beside(target.with_suffix(".png"), "canvas"), inputs=[query.path])
        return written

    def _draw_sheet(self, prompter: VisualPrompter, rows: Sequence[tuple[Query, Answer]]) -> None:
        from vicl.exports.sheets import contact_sheet
        from vicl.images import resize, save_image, to_tensor

        assert self.contact_sheet is not None
        pictures = [[to_tensor(e.input), to_tensor(e.output)] for e in prompter.passes[0]]
        labels = ["example"] * len(pictures)
        for query, answer in rows:
            shown = to_tensor(query.path, limit_pixels=self.limit_pixels)
            small = [shown, to_tensor(answer.image)]
            if max(shown.shape) > 512:
                scale = 512 / max(shown.shape)
                size = tuple(max(1, round(side * scale)) for side in shown.shape[1:])
                small = [resize(image, (size[0], size[1])) for image in small]
            pictures.append(small)
            labels.append(query.relative.name)
        sheet = contact_sheet(pictures, headers=("input", "output"), labels=labels)
        save_image(sheet, self.contact_sheet, inputs=[query.path for query, _ in rows])
        click.echo(f"contact sheet: {self.contact_sheet}", err=True)

    def _summarise(self, tried: int, skipped: int) -> None:
        parts = [f"{tried - len(self.errors)} answered"]
        if skipped:
            parts.append(f"{skipped} skipped (their outputs exist)")
        if self.errors:
            parts.append(f"{len(self.errors)} failed")
        click.echo(", ".join(parts), err=True)

    def report(self, message: str, error: Exception, *, path: Path | None = None) -> None:
        """Tell of an error in one line that names the file; with --debug, its trace."""
        line = " ".join(message.split())
        if path is not None and path.name not in line:
            line = f"{path}: {line}"
        click.echo(f"error: {line}", err=True)
        if self.debug:
            click.echo("".join(traceback.format_exception(error)), err=True)


def _as_json(query: Query, answer: Answer, written: Path | None) -> dict[str, Any]:
    row: dict[str, Any] = {"query": str(query.path)}
    if written is not None:
        row["output"] = str(written)
    row["size"] = [answer.image.height, answer.image.width]
    if answer.confidence is not None:
        row["confidence"] = round(float(answer.confidence.mean()), 4)
    if answer.likelihood is not None:
        row["likelihood"] = answer.likelihood
    if answer.mask is not None:
        row["area"] = {
            name: round(float((answer.mask == number).mean()), 6)
            for number, name in enumerate(answer.classes, start=1)
        }
    if answer.boxes or (answer.scores is not None and answer.mask is None):
        row["boxes"] = [
            {"class": answer.classes[box.label - 1], "box": list(box.box), "score": box.score}
            for box in answer.boxes
        ]
    if answer.alternatives:
        row["alternatives"] = len(answer.alternatives)
    return row
