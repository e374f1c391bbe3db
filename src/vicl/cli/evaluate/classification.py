"""`vicl evaluate classification`: how good learned prompts are, and zero-shot."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.classify import BACKBONE, METHOD, TEMPLATES, check_source, classifier_of
from vicl.cli.evaluate.options import data, folder
from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, PATH, choice, examples, number, options, path
from vicl.files import display

if TYPE_CHECKING:
    from vicl.prompts.classifier import Classifier
    from vicl.tuning.data import Labelled
    from vicl.tuning.scores import Scored


@click.command(
    short_help="What photographs show",
    epilog=examples(
        "vicl evaluate classification --data flowers --prompt runs/flowers -o out/flowers",
        "# the names of the classes alone, with a CLIP model in a folder",
        "vicl evaluate classification --data flowers --method zero-shot --backbone clip",
    ),
)
@options(
    data(required=True),
    path(
        "--prompt prompts",
        "DIR",
        "What `vicl tune` saved. Repeat for more.",
        type=PATH,
        multiple=True,
    ),
    METHOD,
    TEMPLATES,
    BACKBONE,
    choice("--split", ("test", "val", "train"), "Of the data.", "test"),
    number("--batch-size", 1, "Images asked about at once.", default=64, metavar="N"),
    number("--workers", 1, "Threads that read images.", default=2),
    DEVICE,
    folder("Folder for results.json and results.md."),
    DEBUG,
)
def classification(root: Path, prompts: tuple[Path, ...], **given: Any) -> None:
    """What photographs show: folders by class, VTAB-1k's or FGVC's lists.

    Prints accuracy, mean per-class accuracy and the expected calibration error (15 bins) with their
    95% intervals; the files also have each class's accuracy and the confusions. Images that cannot
    be read are reported and left out. The exit code is 0, or 1 when there were some, 2 for wrong
    usage, 130 after Ctrl-C.
    """
    from vicl.tuning.data import open_split

    with failing(2, debug=given["debug"]):
        for prompt in prompts or (None,):
            check_source(given | {"prompt": prompt})
        classes, items = open_split(root, given["split"])
        found: dict[str, Scored] = {}
        for prompt in prompts or (None,):
            made = classifier_of(given | {"prompt": prompt}, classes)
            name = str(given["method"] or "zero-shot") if prompt is None else str(prompt)
            found[name] = _score(made, root, classes, items, given)
            click.echo(f"{display(name)}: {_told(found[name])}")
        if given["output"] is not None:
            _write(given["output"], root, given["split"], found)
    sys.exit(1 if any(scored.broken for scored in found.values()) else 0)


def _score(
    made: Classifier,
    root: Path,
    classes: tuple[str, ...],
    items: Sequence[Labelled],
    given: Mapping[str, Any],
) -> Scored:
    """Ask a classifier about all images."""
    from vicl.tuning.answers import ask, pictures_for
    from vicl.tuning.scores import score
    from vicl.tuning.testing import labelled_for

    made, own = labelled_for(made, classes, items, root)
    answers = ask(
        made, pictures_for(made, own, workers=given["workers"]), batch=given["batch_size"]
    )
    for line in answers.broken:
        click.echo(f"skipped: {line}", err=True)
    return score(
        answers.scores.numpy(), answers.labels.numpy(), made.classes, broken=len(answers.broken)
    )


def _told(scored: Scored) -> str:
    return (
        f"accuracy {scored.accuracy}, mean per-class accuracy {scored.balanced}, expected "
        f"calibration error {scored.calibration}, on {scored.accuracy.n} images"
    )


def _write(output: Path, root: Path, split: str, found: Mapping[str, Scored]) -> None:
    from vicl.files import write_atomic

    plain = {"data": str(root), "split": split}
    results = plain | {"results": {name: one.to_json() for name, one in found.items()}}
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    write_atomic(output / "results.json", text.encode())
    parts = [f"# Classification: {display(root)}, {split}", ""]
    for name, one in found.items():
        parts += [f"## {display(name)}", "", one.to_markdown()]
    write_atomic(output / "results.md", "\n".join(parts).encode())
    click.echo(f"written: {display(output / 'results.md')}", err=True)
