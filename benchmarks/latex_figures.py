"""How many more grids of pictures do papers give where LaTeX puts them together?

    python benchmarks/latex_figures.py --papers 100

Papers are made here, since real ones may not be kept: each has --figures figures, of which a
share is a single picture, a share a grid in one file, as the published figures are taken, and the
rest are grids of 2 to 12 files put together in LaTeX in one of the ways of `LAYOUTS`, with what
papers have around them: files that are included, macros, comments, folders, names without their
endings.  Some grids are made as the reader does not follow (drawings, loops), or lack files.

The table says of all grids how many are found by files alone (the published way) and how many with
those that are assembled, and of these in how many every picture stands in its row and column: each
has a colour of its own, which is looked for in the assembled picture.  The shares of kinds are
assumptions, not measured on real papers: what is measured is how many of the grids that papers put
together are followed, and what a paper costs (seconds of a processor).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np
import torch
from numpy.random import Generator, default_rng
from PIL import Image
from rich.console import Console
from rich.table import Table

from vicl.figures.arxiv.latex.figures import count_reasons, read_figures
from vicl.figures.arxiv.latex.page import assemble
from vicl.files.machine import processor

Names = list[list[str]]


@dataclass
class Paper:
    """A paper's source, and its grids that LaTeX puts together: by label their pictures' names."""

    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    grids: dict[str, Names] = field(default_factory=dict)
    single: int = 0
    in_one_file: int = 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--papers", type=int, default=100)
    parser.add_argument("--figures", type=int, default=6, help="a paper")
    parser.add_argument("--single", type=float, default=0.4, help="share of single pictures")
    parser.add_argument("--one-file", type=float, default=0.2, help="share of grids in one file")
    parser.add_argument(
        "--hard", type=float, default=0.1, help="share that is not followed, of grids"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if min(given.papers, given.figures) < 1 or given.single + given.one_file > 1:
        parser.error(
            "--papers and --figures: at least 1; --single and --one-file: at most 1 in all"
        )
    counts = measure(given)
    if given.json:
        json.dump(counts, sys.stdout, indent=1)
        print()
        return 0
    _show(counts)
    return 0


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Make papers and read them."""
    totals: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    spent = 0.0
    for number in range(given.papers):
        rng = default_rng((given.seed, number))
        paper = made(rng, given.figures, given.single, given.one_file, given.hard)
        start = time.process_time()
        figures = read_figures(paper.texts)
        images = {figure.label: assemble(figure, paper.pictures.get) for figure in figures}
        spent += time.process_time() - start
        totals["figures"] += len(figures)
        totals["grids in one file"] += paper.in_one_file
        totals["grids of many files"] += len(paper.grids)
        totals["false grids"] += sum(
            image is not None for label, image in images.items() if label not in paper.grids
        )
        unread.update(count_reasons(figures))
        for label, names in paper.grids.items():
            image = images.get(label)
            totals["assembled"] += image is not None
            totals["each picture in its place"] += image is not None and arranged(
                image, names, paper.pictures
            )
    grids = totals["grids in one file"] + totals["grids of many files"]
    return {
        "papers": given.papers,
        **totals,
        "grids": grids,
        "found by files": totals["grids in one file"] / max(1, grids),
        "found with assembly": (totals["grids in one file"] + totals["assembled"]) / max(1, grids),
        "reasons": dict(unread),
        "seconds a paper": spent / given.papers,
        "machine": processor(torch.device("cpu")),
    }


def made(rng: Generator, figures: int, single: float, one_file: float, hard: float) -> Paper:
    """Make a paper."""
    paper = Paper()
    body, missing = [], list[str]()
    for number in range(figures):
        kind, label = rng.random(), f"fig:{number}"
        if kind < single + one_file:
            paper.single += kind < single
            paper.in_one_file += kind >= single
            name = _picture(rng, paper, f"whole{number}")
            text = f"\\includegraphics[width=\\linewidth]{{{name}}}"
        else:
            rows, columns = int(rng.integers(1, 4)), int(rng.integers(2, 5))
            names = [
                [_picture(rng, paper, f"f{number}_{row}_{column}") for column in range(columns)]
                for row in range(rows)
            ]
            paper.grids[label] = names
            ways = HARD if rng.random() < hard else LAYOUTS
            text = ways[int(rng.integers(len(ways)))](names)
            if ways is HARD and rng.random() < 0.3:  # most of the files are not in the source
                missing += _all(names)[1:]
        wide = "figure*" if rng.random() < 0.5 else "figure"
        figure = (
            f"\\begin{{{wide}}}[t]\n\\centering\n{text}\n\\vspace{{-2mm}}% nearer\n"
            f"\\caption{{Figure {number} of \\emph{{{wide}}}~\\cite{{x}}.}}\n\\label{{{label}}}\n"
            f"\\end{{{wide}}}\n"
        )
        if rng.random() < 0.3:
            paper.texts[f"sec/{number}.tex"] = figure
            figure = f"\\input{{sec/{number}}}\n"
        body.append(f"Some text with $x_{{i}}$ \\ref{{{label}}}. % \\begin{{figure}}\n\n" + figure)
    paper.texts["main.tex"] = (
        "\\documentclass[twocolumn]{article}\n\\usepackage{cvpr,graphicx}\n\\graphicspath{{figs/}}\n"
        "\\newcommand{\\pic}[2][0.23]{\\includegraphics[width=#1\\linewidth]{#2}}\n"
        "\\begin{document}\n" + "\n".join(body) + "\\end{document}\n"
    )
    for name in missing:
        del paper.pictures[f"figs/{name}.png"]
    return paper


def _picture(rng: Generator, paper: Paper, name: str) -> str:
    """A picture of a colour that no other of the paper has."""
    number = len(paper.pictures) + 1
    colour = (40 + 20 * (number % 10), 40 + 20 * (number // 10 % 10), 40 + 20 * (number // 100))
    size = (int(rng.integers(80, 200)), 120)
    paper.pictures[f"figs/{name}.png"] = Image.new("RGB", size, colour)
    return name


def _all(names: Names) -> list[str]:
    return list(chain.from_iterable(names))


def _table(names: Names) -> str:
    rows = " \\\\\n".join(
        " & ".join(f"\\includegraphics[width=2cm,height=2cm]{{{name}}}" for name in row)
        for row in names
    )
    heads = " & ".join(f"\\small Method {number}" for number in range(len(names[0])))
    return (
        f"\\setlength{{\\tabcolsep}}{{1pt}}\n\\begin{{tabular}}{{*{{{len(names[0])}}}{{c}}}}\n"
        + (f"{heads} \\\\\n{rows} \\\\\n\\end{{tabular}}")
    )


def _resized(names: Names) -> str:
    return f"\\resizebox{{\\linewidth}}{{!}}{{%\n{_table(names)}}}"


def _macros(names: Names) -> str:
    return "\\\\[1mm]\n".join(
        "%\n".join(f"\\pic{{{name}}}\\hspace{{1mm}}" for name in row) for row in names
    )


def _empty_lines(names: Names) -> str:
    return "\n\n".join(
        "\n".join(
            f"\\includegraphics[height=1.5cm,width=.2\\linewidth]{{{name}.png}}" for name in row
        )
        for row in names
    )


def _subfigures(names: Names) -> str:
    width = 0.96 / len(names[0])
    return "\n\n".join(
        "\\hfill\n".join(
            f"\\begin{{subfigure}}[b]{{{width:.3f}\\linewidth}}\\centering\n"
            f"\\includegraphics[width=\\textwidth,height=1.5cm]{{{name}}}\n\\caption{{Part}}\n"
            "\\end{subfigure}"
            for name in row
        )
        for row in names
    )


def _subfloats(names: Names) -> str:
    return "\\\\\n".join(
        "\\hfil\n".join(
            f"\\subfloat[Of {name[1]}]{{\\includegraphics[width=0.2\\linewidth]{{{name}}}}}"
            for name in row
        )
        for row in names
    )


def _minipages(names: Names) -> str:
    width = 0.94 / len(names[0])
    return "\n".join(
        f"\\begin{{minipage}}[t]{{{width:.3f}\\linewidth}}\n\\centering\n"
        + "\\\\\n".join(
            f"\\includegraphics[width=0.9\\linewidth,height=1.2cm]{{{row[column]}}}"
            for row in names
        )
        + "\\\\ Label\n\\end{minipage}"
        for column in range(len(names[0]))
    )


def _labelled(names: Names) -> str:
    rows = "\\\\\n".join(
        "\\rotatebox{90}{\\scriptsize Row} & "
        + " & ".join(f"\\adjustbox{{width=1.8cm}}{{\\includegraphics{{{name}}}}}" for name in row)
        for row in names
    )
    columns = f"c@{{\\hspace{{2pt}}}}*{{{len(names[0])}}}{{c}}"
    return f"\\begin{{tabular}}{{{columns}}}\n{rows}\\end{{tabular}}"


def _drawing(names: Names) -> str:
    nodes = "\n".join(
        f"\\node at ({x},{y}) {{\\includegraphics[width=1cm]{{{name}}}}};"
        for y, row in enumerate(names)
        for x, name in enumerate(row)
    )
    return f"\\begin{{tikzpicture}}\n{nodes}\n\\end{{tikzpicture}}"


def _loop(names: Names) -> str:
    listed = ",".join(_all(names))
    return f"\\foreach \\n in {{{listed}}} {{\\includegraphics[width=0.2\\linewidth]{{\\n}} }}"


LAYOUTS: list[Callable[[Names], str]] = [
    _table, _resized, _macros, _empty_lines, _subfigures, _subfloats, _minipages, _labelled,
]  # fmt: skip
HARD: list[Callable[[Names], str]] = [_drawing, _loop, _table]


def arranged(image: Image.Image, names: Names, pictures: dict[str, Image.Image]) -> bool:
    """Whether every picture of a grid stands in its row and its column of an image."""
    levels = np.asarray(image).astype(int)
    centres = []
    for row in names:
        line = []
        for name in row:
            picture = pictures.get(f"figs/{name}.png")
            if picture is None:
                return False
            found = (abs(levels - np.array(picture.getpixel((0, 0)))) <= 2).all(2)
            if not found.any():
                return False
            ys, xs = np.nonzero(found)
            line.append((float(ys.mean()), float(xs.mean())))
        centres.append(line)
    heights = [[y for y, _ in line] for line in centres]
    in_rows = all(max(a) < min(b) for a, b in pairwise(heights))
    in_order = all(a[1] < b[1] for line in centres for a, b in pairwise(line))
    return in_rows and in_order


def _show(counts: dict[str, object]) -> None:
    table = Table("", "", title=f"{counts['papers']} made papers, on {counts['machine']}")
    for name, value in counts.items():
        if isinstance(value, float):
            shown = f"{1000 * value:.0f} ms" if name.startswith("seconds") else f"{value:.0%}"
            table.add_row(name.replace("seconds ", "time "), shown)
        elif isinstance(value, int):
            table.add_row(name, str(value))
    for reason, count in dict(counts["reasons"]).items():  # type: ignore[call-overload]
        table.add_row(f"not followed: {reason}", str(count))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
