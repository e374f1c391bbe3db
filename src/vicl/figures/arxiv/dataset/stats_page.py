"""The page of an extract: one HTML file with everything in it, to be read without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from PIL import Image

from vicl.figures.arxiv.dataset.stats import Counts, Sample, Stats
from vicl.images import ImageError, encode_image, open_image, to_rgb

_THUMBNAIL: Final = 200
"""Longest side, in pixels."""

_CAPTION: Final = 240
"""Characters of a caption that are shown."""

_ROWS: Final = 40
"""Rows of a table; the others are summed up."""

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 0 auto; padding: 1rem 2rem; }
.tables, .sheet { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start; }
.sheet { gap: 1rem; }
table { border-collapse: collapse; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .1rem .6rem; text-align: left; border-bottom: 1px solid #8886; font-weight: 400;
  overflow-wrap: anywhere; }
td { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
meter { width: 8rem; }
figure { margin: 0; width: 200px; }
img { max-width: 100%; background: white; outline: 1px solid #8884; }
figcaption { font-size: 12px; line-height: 1.3; overflow-wrap: anywhere; }
"""


def draw_page(stats: Stats, extracted: Path) -> str:
    """Draw the page.

    Args:
        stats: What it is about.
        extracted: The folder of the extract, where the figures of the sheets are.

    Returns:
        HTML; nothing in it is loaded from anywhere, and nothing of it runs.
    """
    tables = [_table(name.capitalize(), counts) for name, counts in stats.by.items()]
    stages = [_table(f"By {stage}", counts) for stage, counts in stats.left_out.items()]
    sheets = [
        f'<h2>{escape(name)}</h2>\n<div class="sheet">\n{_sheet(samples, extracted)}\n</div>'
        for name, samples in stats.sheets.items()
    ]
    summary = (
        f"{stats.figures} figures of {stats.papers} papers; {stats.captioned} figures have a "
        "caption. Most of them may not be passed on: their papers' licences say what may be done."
    )
    body = "\n".join(
        (
            "<h1>Figures of papers</h1>",
            f"<p>{escape(summary)}</p>",
            f'<div class="tables">\n{"".join(tables)}</div>',
            "<h2>What was left out, and why</h2>",
            f'<div class="tables">\n{"".join(stages)}</div>',
            *sheets,
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Figures of papers</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _table(title: str, counts: Counts) -> str:
    total = sum(counts.values())
    shown = dict(list(counts.items())[:_ROWS])
    if len(counts) > _ROWS:
        shown[f"{len(counts) - _ROWS} others"] = total - sum(shown.values())
    most = max([1, *shown.values()])
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td>{count}</td>'
        f'<td><meter min="0" max="{most}" value="{count}">{count / total:.1%}</meter></td></tr>'
        for name, count in shown.items()
    ]
    nothing = [] if rows else ["<tr><td>nothing</td></tr>"]
    lines = "\n".join([*rows, *nothing])
    return f"<table>\n<caption>{escape(title)}: {total}</caption>\n{lines}\n</table>\n"


def _sheet(samples: Sequence[Sample], extracted: Path) -> str:
    return "\n".join(_figures(samples, extracted))


def _figures(samples: Sequence[Sample], extracted: Path) -> Iterator[str]:
    for sample in samples:
        try:
            picture = to_rgb(open_image(extracted / sample.file))
        except ImageError:
            picture = None
        shown = "<p>cannot be read</p>" if picture is None else _thumbnail(picture)
        caption = sample.caption
        if len(caption) > _CAPTION:
            caption = f"{caption[:_CAPTION]}…"
        words = f"<b>{escape(sample.note)}</b> {escape(caption)}"
        yield f"<figure>{shown}<figcaption>{words}</figcaption></figure>"


def _thumbnail(picture: Image.Image) -> str:
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    data = base64.b64encode(encode_image(picture, ".jpg")).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'
