"""The commands of `vicl evaluate`, each with what it asks: a task over files, or generated sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from vicl.cli.evaluate.command import Asked, evaluate_command
from vicl.cli.evaluate.options import (
    CELL_SIZE,
    CHANGES,
    DATA,
    EXTENDED,
    FOLD,
    LARGEST,
    LPIPS,
    PARTS,
    PUBLISHED,
    RULE_SETS,
    SOURCES,
    Options,
)

if TYPE_CHECKING:
    from vicl.evaluation.episodes import Dataset
    from vicl.evaluation.running.results import Results
    from vicl.tasks import TaskName


def _files(task: TaskName, options: Options, examples: int) -> list[Dataset]:
    return [options.open(task, examples)]


def _shapes(options: Options, _: int) -> list[Dataset]:
    from vicl.evaluation.datasets.generated import shapes

    changes = options.changes or shapes.CHANGES
    if options.extended:
        changes = (*changes, *shapes.EXTENDED)
    return [shapes.ShapesStudy(change) for change in dict.fromkeys(changes)]


def _rules(options: Options, _: int) -> list[Dataset]:
    from vicl.evaluation.datasets.generated.rules import RuleEpisodes

    parts = options.parts or RULE_SETS
    return [RuleEpisodes(part, options.size) for part in dict.fromkeys(parts)]


def _write_rules(options: Options, runs: Sequence[Results]) -> None:
    """Write what was found of each rule; the sets have been printed and written already."""
    from vicl.evaluation.reporting.rule_table import to_json, to_markdown
    from vicl.files import display, write_atomic

    if options.output is None or not runs:
        return
    table = options.output / "rules.md"
    write_atomic(table, to_markdown(runs).encode())
    found = json.dumps(to_json(runs), indent=1, ensure_ascii=False) + "\n"
    write_atomic(options.output / "rules.json", found.encode())
    click.echo(f"rule by rule: {display(table)}", err=True)


COMMANDS = (
    evaluate_command(
        "segmentation",
        "Masks of one class",
        "Pascal-5i, a folder of inputs/ and targets/, or one with a manifest.",
        Asked(partial(_files, "segmentation")),
        *(DATA, FOLD, PUBLISHED, SOURCES),
        lines=(
            "vicl evaluate segmentation --data VOC2012 --model default -o runs/voc",
            "vicl evaluate segmentation --data pairs --episodes 50 --examples 3 --model analogies",
        ),
    ),
    evaluate_command(
        "detection",
        "The box of one object",
        "VOC 2012, a folder with boxes or masks, or one with a manifest.",
        Asked(partial(_files, "detection")),
        *(DATA, PUBLISHED, SOURCES, LARGEST),
        lines=(
            "vicl evaluate detection --data VOC2012 --model default --episodes 200 -o runs/boxes",
        ),
    ),
    evaluate_command(
        "colorization",
        "Gray to colour",
        "any folder of photographs, or one with a manifest.",
        Asked(partial(_files, "colorization")),
        *(DATA, PUBLISHED, SOURCES, LPIPS),
        lines=(
            "vicl evaluate colorization --data photos --model default --lpips lpips.safetensors",
        ),
    ),
    evaluate_command(
        "edges",
        "Edges, by the Berkeley benchmark",
        "BSDS500, a folder of inputs/ and targets/, or one with a manifest.",
        Asked(partial(_files, "edges")),
        *(DATA, SOURCES),
        lines=("vicl evaluate edges --data BSDS500 --model analogies -o runs/edges",),
    ),
    evaluate_command(
        "image",
        "Any change of an image",
        "a folder of inputs/ and targets/ with the same names.",
        Asked(partial(_files, "image")),
        *(DATA, LPIPS),
        lines=("vicl evaluate image --data pairs --model analogies",),
    ),
    evaluate_command(
        "shapes",
        "The paper's synthetic study",
        "each task in a folder of its own in DIR.",
        Asked(_shapes, examples=2, apart=True),
        *(CHANGES, EXTENDED),
        lines=(
            "vicl evaluate shapes --model default -o runs/shapes",
            "vicl evaluate shapes --task color --task size --episodes 20 --model default",
        ),
    ),
    evaluate_command(
        "rules",
        "Synthetic rules, seen and held out",
        "seen rules on new content, rules that training never shows, and seen rules on content "
        "that training never shows; each set in a folder of its own in DIR, and all rules in "
        "DIR/rules.md. The paper's six tasks are in `vicl evaluate shapes`.",
        Asked(_rules, beside=("analogies",), apart=True, then=_write_rules),
        *(PARTS, CELL_SIZE),
        lines=(
            "vicl evaluate rules --model default --workers 2 -o runs/rules",
            "vicl evaluate rules --set unseen --model default",
        ),
    ),
)
