"""The kinds of page that a filter of figures learns from."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from numpy.random import Generator
from PIL import Image, ImageDraw

from figure_pages import (
    INK,
    MAPS,
    Picture,
    Pictures,
    Table,
    coloured,
    derived,
    font,
    ink_on,
    kind,
    paper,
    pick,
    rendered,
    smooth,
    synthetic,
    words,
)


@kind(True, often=2)
def synthetic_photographs(rng: Generator, pictures: Pictures) -> Picture:
    """Synthetic figures, of photographs."""
    source = synthetic(pictures.folders, int(pick(rng, (256, 384, 512))))
    return Image.fromarray(source.figure(int(rng.integers(1 << 30))).image)


@kind(True, often=3)
def photograph_grid(rng: Generator, pictures: Pictures) -> Picture:
    """Photographs in rows and columns."""
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(1, 8))
    if rows * columns < 2:
        columns = 2
    table = Table.drawn(rng, rows, columns)
    return table.lay(
        rng, [[pictures.photograph(rng, table.size) for _ in range(columns)] for _ in range(rows)]
    )


@kind(True, often=3)
def results(rng: Generator, pictures: Pictures) -> Picture:
    """A photograph in each row, and what methods make of it."""
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(2, 7))
    table = Table.drawn(rng, rows, columns)
    cells = []
    for _ in range(rows):
        shot = pictures.photograph(rng, table.size)
        mask = smooth(rng, table.size, 0.15) > rng.uniform(0.5, 0.7)
        cells.append([shot, *(derived(rng, shot, mask) for _ in range(columns - 1))])
    if rng.random() < 0.3:  # a photograph in each column
        table = Table((table.size[1], table.size[0]), table.gap, table.margin, table.captions)
        cells = [list(row) for row in zip(*cells, strict=True)]
    return table.lay(rng, cells)


@kind(True)
def uneven(rng: Generator, pictures: Pictures) -> Picture:
    """Rows of pictures of different widths, or two tables beside each other."""
    parts = []
    for _ in range(int(rng.integers(2, 4))):
        rows, columns = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        table = Table.drawn(rng, rows, columns)
        cells = [
            [pictures.photograph(rng, table.size) for _ in range(columns)] for _ in range(rows)
        ]
        if rng.random() < 0.5:
            cells = [[derived(rng, c) if rng.random() < 0.4 else c for c in row] for row in cells]
        parts.append(table.lay(rng, cells))
    gap, height = int(rng.integers(0, 30)), int(rng.integers(200, 420))
    parts = [p.resize((max(1, round(p.width * height / p.height)), height)) for p in parts]
    sheet = Image.new("RGB", (sum(p.width + gap for p in parts) - gap, height), paper(rng))
    left = 0
    for part in parts:
        sheet.paste(part, (left, 0))
        left += part.width + gap
    return sheet


@kind(True)
def mixed_grid(rng: Generator, pictures: Pictures) -> Picture:
    """A grid in which few cells are photographs: the others are maps, drawings or empty."""
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(2, 6))
    table = Table.drawn(rng, rows, columns)
    natural = int(rng.integers(rows * columns))

    def cell(number: int) -> Picture:
        if number == natural or rng.random() < 0.15:
            return pictures.photograph(rng, table.size)
        if rng.random() < 0.5:
            return coloured(smooth(rng, table.size), pick(rng, MAPS))
        return small_plot(rng, table.size)

    return table.lay(rng, [[cell(r * columns + c) for c in range(columns)] for r in range(rows)])


def small_plot(rng: Generator, size: tuple[int, int]) -> Picture:
    """A curve in a box."""
    height, width = size
    drawn = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(drawn)
    points = smooth(rng, (1, width), 3.0)[0]
    pen.line([(x, (1 - y) * (height - 1)) for x, y in enumerate(points)], fill=(30, 90, 180))
    pen.rectangle((0, 0, width - 1, height - 1), outline=INK)
    return drawn


@kind(False, often=3)
def single_photograph(rng: Generator, pictures: Pictures) -> Picture:
    """One photograph, with or without white around it and a caption."""
    height, width = int(rng.integers(180, 700)), int(rng.integers(180, 700))
    shot = pictures.photograph(rng, (height, width))
    if rng.random() < 0.5:
        return shot
    colour, margin = paper(rng), int(rng.integers(2, 60))
    sheet = Image.new("RGB", (width + 2 * margin, height + 2 * margin), colour)
    sheet.paste(shot, (margin, margin))
    if margin > 16:
        at = (margin, margin + height + 2)
        said = words(rng, int(rng.integers(1, 6)))
        ImageDraw.Draw(sheet).text(at, said, fill=ink_on(colour), font=font(rng, 13))
    return sheet


@kind(False)
def single_derived(rng: Generator, pictures: Pictures) -> Picture:
    """One photograph, with something drawn over it."""
    shot = derived(rng, pictures.photograph(rng, (int(rng.integers(200, 600)),) * 2))
    if rng.random() < 0.5:
        pen = ImageDraw.Draw(shot)
        for _ in range(int(rng.integers(1, 5))):
            x, y = (int(v) for v in rng.integers(0, shot.width - 60, 2))
            box = (x, y, x + int(rng.integers(30, 160)), y + int(rng.integers(30, 160)))
            pen.rectangle(box, outline=pick(rng, ("red", "lime", "yellow", "cyan")), width=3)
    return shot


def draw_axes(rng: Generator, a: Axes) -> None:
    """Something on matplotlib's axes."""
    x = np.linspace(0, 1, int(rng.integers(5, 60)))
    lines = int(rng.integers(1, 6))
    which = int(rng.integers(7))
    if which == 0:
        for _ in range(lines):
            a.plot(x, np.cumsum(rng.normal(size=len(x))), marker=pick(rng, ("", "o", "s", "^")))
    elif which == 1:
        for _ in range(lines):
            across, up = rng.normal(rng.normal(size=2)[:, None], 0.5, (2, 80))
            a.scatter(across, up, s=rng.uniform(4, 30))
    elif which == 2:
        a.bar(np.arange(lines + 2), rng.random(lines + 2), color=f"C{int(rng.integers(9))}")
    elif which == 3:
        a.hist(rng.normal(size=400), bins=int(rng.integers(8, 40)))
    elif which == 4:
        grid = smooth(rng, (24, 24)) if rng.random() < 0.5 else rng.random((8, 8))
        a.imshow(grid, cmap=pick(rng, MAPS))
    elif which == 5:
        a.contourf(smooth(rng, (40, 40)), cmap=pick(rng, MAPS))
    else:
        a.errorbar(x, rng.random(len(x)), yerr=0.1 * rng.random(len(x)), capsize=2)
    if rng.random() < 0.6:
        a.set_xlabel(words(rng, 2))
        a.set_ylabel(words(rng, 2))
    if rng.random() < 0.5:
        a.set_title(words(rng, 3), fontsize=10)
    if rng.random() < 0.5:
        a.grid(visible=True, alpha=0.5)
    if which in (0, 1) and rng.random() < 0.5:
        a.legend([words(rng, 1) for _ in range(lines)], fontsize=8)


@kind(False, often=2)
def single_plot(rng: Generator, pictures: Pictures) -> Picture:
    """One plot."""
    plot = Plot(figsize=(rng.uniform(3, 7), rng.uniform(2.5, 6)), dpi=100, layout="tight")
    draw_axes(rng, plot.add_subplot())
    return rendered(plot)


@kind(False, often=3)
def plots(rng: Generator, pictures: Pictures) -> Picture:
    """A grid of plots."""
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    plot = Plot(figsize=(2.4 * columns, 2.1 * rows), dpi=90, layout="tight")
    for number in range(rows * columns):
        draw_axes(rng, plot.add_subplot(rows, columns, number + 1))
    return rendered(plot)


def boxes_and_arrows(rng: Generator, pictures: Pictures | None) -> Picture:
    """A diagram, whose boxes may hold photographs."""
    width, height = int(rng.integers(500, 1000)), int(rng.integers(200, 520))
    drawn = Image.new("RGB", (width, height), (255, 255, 255))
    pen, written = ImageDraw.Draw(drawn), font(rng, int(rng.integers(11, 18)))
    columns = int(rng.integers(3, 7))
    before: list[tuple[int, int]] = []
    for column in range(columns):
        here = []
        for row in range(int(rng.integers(1, 4))):
            x = int((column + 0.1) * width / columns)
            y = int(10 + row * height / 3 + rng.uniform(0, 30))
            wide, high = int(0.7 * width / columns), int(rng.uniform(0.12, 0.27) * height)
            fill = tuple(int(v) for v in rng.integers(150, 256, 3))
            pen.rectangle((x, y, x + wide, y + high), fill=fill, outline=INK)
            if pictures is not None and rng.random() < 0.25:
                drawn.paste(pictures.photograph(rng, (high, wide)), (x, y))
            else:
                pen.text((x + 4, y + high // 3), words(rng, 1), fill=INK, font=written)
            for start in before:
                if rng.random() < 0.6:
                    end = (x, y + high // 2)
                    pen.line((start, end), fill=INK, width=2)
                    tip = [end, (end[0] - 8, end[1] - 4), (end[0] - 8, end[1] + 4)]
                    pen.polygon(tip, fill=INK)
            here.append((x + wide, y + high // 2))
        before = here
    return drawn


@kind(False, often=2)
def diagram(rng: Generator, pictures: Pictures) -> Picture:
    """Boxes with words, and arrows between them."""
    return boxes_and_arrows(rng, None)


@kind(False)
def diagram_with_photographs(rng: Generator, pictures: Pictures) -> Picture:
    """A pipeline: it shows photographs, but is no grid."""
    return boxes_and_arrows(rng, pictures)


@kind(False, often=2)
def icons(rng: Generator, pictures: Pictures) -> Picture:
    """Drawn things, one or in a grid."""
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    side, gap = int(rng.integers(50, 150)), int(rng.integers(0, 30))
    step = side + gap
    colour = paper(rng)
    sheet = Image.new("RGB", (columns * step + gap, rows * step + gap), colour)
    framed = rng.random() < 0.4
    for row in range(rows):
        for column in range(columns):
            at = (gap + column * step, gap + row * step)
            tile = Image.new("RGB", (side, side), colour)
            if framed:
                tint = tuple(int(v) for v in rng.integers(120, 256, 3))
                tile = Image.new("RGB", (side, side), tint)
            thing = pictures.cutout(rng, side)
            tile.paste(thing, (0, 0), thing)
            sheet.paste(tile, at)
    return sheet


@kind(False, often=2)
def text(rng: Generator, pictures: Pictures) -> Picture:
    """Lines of text, in one column or two."""
    width, height = int(rng.integers(300, 800)), int(rng.integers(150, 900))
    sheet = Image.new("RGB", (width, height), (255, 255, 255))
    pen, size = ImageDraw.Draw(sheet), int(rng.integers(10, 22))
    written = font(rng, size)
    columns = int(rng.integers(1, 3))
    for column in range(columns):
        left = 12 + column * width // columns
        room = width // columns - 24
        y = 10
        while y < height - size:
            line = words(rng, 14)
            while pen.textlength(line, font=written) > room and " " in line:
                line = line.rpartition(" ")[0]
            pen.text((left, y), line, fill=INK, font=written)
            y += int(size * (1.25 if rng.random() < 0.9 else 2.5))
    return sheet


@kind(False, often=2)
def table(rng: Generator, pictures: Pictures) -> Picture:
    """Numbers in rows and columns, with rules."""
    rows, columns = int(rng.integers(3, 14)), int(rng.integers(3, 9))
    size = int(rng.integers(11, 20))
    wide, high = size * 6, int(size * 1.8)
    sheet = Image.new("RGB", (columns * wide + 20, rows * high + 20), (255, 255, 255))
    pen, written = ImageDraw.Draw(sheet), font(rng, size)
    full, shaded = rng.random() < 0.4, rng.random() < 0.3
    for row in range(rows + 1):
        y = 10 + row * high
        if shaded and row % 2 and row < rows:
            pen.rectangle((10, y, sheet.width - 10, y + high), fill=(225, 232, 245))
        if full or row in (0, 1, rows):
            pen.line((10, y, sheet.width - 10, y), fill=INK, width=1 + (row in (0, rows)))
        for column in range(columns if row < rows else 0):
            said = f"{rng.uniform(0, 100):.1f}" if row and column else words(rng, 1)
            pen.text((16 + column * wide, y + size // 4), said, fill=INK, font=written)
    if full:
        for column in range(columns + 1):
            x = 10 + column * wide
            pen.line((x, 10, x, 10 + rows * high), fill=INK)
    return sheet


@kind(False, often=2)
def drawn_figures(rng: Generator, pictures: Pictures) -> Picture:
    """Synthetic figures, of drawn shapes: grids without a natural image."""
    source = synthetic(None, int(pick(rng, (256, 384, 512))))
    return Image.fromarray(source.figure(int(rng.integers(1 << 30))).image)


@kind(False, often=3)
def map_grid(rng: Generator, pictures: Pictures) -> Picture:
    """A grid of maps, masks and noise, and no photograph."""
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(2, 7))
    table = Table.drawn(rng, rows, columns)
    which, colours = int(rng.integers(5)), pick(rng, MAPS)

    def cell() -> Picture:
        field = smooth(rng, table.size, float(rng.uniform(0.03, 0.2)))
        if which == 0:
            return Image.fromarray(((field > 0.55) * 255).astype(np.uint8)).convert("RGB")
        if which == 1:
            labels = (field * int(rng.integers(3, 8))).astype(int) / 8
            return coloured(labels, pick(rng, ("tab10", "Set1", "Paired")))
        if which == 2:
            noise = Image.fromarray((rng.random((7, 7)) * 255).astype(np.uint8))
            return noise.resize(table.size[::-1], Image.Resampling.NEAREST).convert("RGB")
        if which == 3:
            clouds = [field, smooth(rng, table.size, 0.02), smooth(rng, table.size, 0.06)]
            return Image.fromarray((np.stack(clouds, axis=-1) * 255).astype(np.uint8))
        return coloured(field, colours if rng.random() < 0.7 else pick(rng, MAPS))

    return table.lay(rng, [[cell() for _ in range(columns)] for _ in range(rows)])
