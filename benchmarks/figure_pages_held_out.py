"""The kinds of page on which a filter of figures is judged: training never draws them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from numpy.random import Generator
from PIL import Image, ImageDraw

from figure_pages import (
    INK,
    MAPS,
    WHITE,
    Picture,
    Pictures,
    coloured,
    derived,
    font,
    kind,
    pick,
    rendered,
    smooth,
    words,
)


@kind(True, held_out=True)
def mosaic(rng: Generator, pictures: Pictures) -> Picture:
    """Photographs of their own widths in rows of equal width, as galleries show them."""
    width, gap = int(rng.integers(500, 1000)), int(pick(rng, (0, 2, 4, 8)))
    rows = []
    for _ in range(int(rng.integers(2, 5))):
        shares = rng.uniform(0.6, 1.8, int(rng.integers(2, 6)))
        height = int(rng.integers(80, 200))
        edges = np.round(np.cumsum(shares) / shares.sum() * width).astype(int)
        row = Image.new("RGB", (width, height), WHITE)
        left = 0
        for edge in edges:
            wide = max(8, int(edge) - left - gap * (edge != width))
            row.paste(pictures.photograph(rng, (height, wide)), (left, 0))
            left = int(edge)
        rows.append(row)
    sheet = Image.new("RGB", (width, sum(r.height + gap for r in rows) - gap), WHITE)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + gap
    return sheet


@kind(True, held_out=True)
def subplots(rng: Generator, pictures: Pictures) -> Picture:
    """Photographs and maps of them by matplotlib, with titles and ticks."""
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    plot = Plot(figsize=(2.2 * columns, 2.3 * rows), dpi=100, layout="tight")
    ticks = rng.random() < 0.6
    for number in range(rows * columns):
        axes = plot.add_subplot(rows, columns, number + 1)
        shot = pictures.photograph(rng, (150, 200))
        axes.imshow(np.asarray(derived(rng, shot) if number % columns else shot))
        axes.set_title(words(rng, 2), fontsize=9)
        if not ticks:
            axes.axis("off")
    return rendered(plot)


@kind(True, held_out=True)
def retrieval(rng: Generator, pictures: Pictures) -> Picture:
    """A query and what was found, in rows, with frames that say whether it is right."""
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(4, 9))
    side, frame = int(rng.integers(60, 110)), int(rng.integers(2, 6))
    step = side + 10
    sheet = Image.new("RGB", ((columns + 1) * step + 30, rows * step + 28), WHITE)
    pen = ImageDraw.Draw(sheet)
    pen.text((10, 4), "Query", fill=INK, font=font(rng, 13, True))
    pen.text((step + 40, 4), "Retrieved", fill=INK, font=font(rng, 13, True))
    for row in range(rows):
        for column in range(columns + 1):
            x, y = 5 + column * step + 20 * (column > 0), 24 + row * step
            sheet.paste(pictures.photograph(rng, (side, side)), (x, y))
            colour = "blue" if column == 0 else pick(rng, ("lime", "lime", "red"))
            box = (x, y, x + side, y + side)
            pen.rectangle(box, outline=colour, width=frame)
    return sheet


@kind(True, held_out=True)
def zoomed(rng: Generator, pictures: Pictures) -> Picture:
    """A large photograph, and a grid of its parts enlarged beside it, as in super-resolution."""
    height, rows = int(rng.integers(240, 400)), 2
    columns, gap = int(rng.integers(2, 5)), int(rng.integers(3, 12))
    big = pictures.photograph(rng, (height, int(height * rng.uniform(0.9, 1.5))))
    line = 16
    high = (height - rows * line - gap) // rows
    wide = int(high * rng.uniform(1.0, 1.5))
    sheet = Image.new("RGB", (big.width + columns * (wide + gap), height), WHITE)
    sheet.paste(big, (0, 0))
    pen, written = ImageDraw.Draw(sheet), font(rng, 12, True)
    x0, y0 = (int(rng.integers(0, side // 2)) for side in big.size)
    box = (x0, y0, x0 + big.width // 4, y0 + big.width // 4 * high // wide)
    part = big.crop(box)
    pen.rectangle(box, outline="red", width=2)
    for row in range(rows):
        for column in range(columns):
            coarse = part.resize((max(3, wide // pick(rng, (2, 4, 6, 8))), max(3, high // 4)))
            at = (big.width + gap + column * (wide + gap), row * (high + line + gap))
            sheet.paste(coarse.resize((wide, high), Image.Resampling.BICUBIC), at)
            pen.text((at[0] + 8, at[1] + high), words(rng, 1), fill=INK, font=written)
    return sheet


@kind(True, held_out=True)
def with_plots(rng: Generator, pictures: Pictures) -> Picture:
    """A photograph in each row, and a plot of it beside it."""
    rows = int(rng.integers(1, 4))
    plot = Plot(figsize=(7, 2.2 * rows), dpi=90, layout="tight")
    for row in range(rows):
        shot = pictures.photograph(rng, (150, 200))
        first, second, third = (plot.add_subplot(rows, 3, row * 3 + n) for n in (1, 2, 3))
        first.imshow(np.asarray(shot))
        first.axis("off")
        second.imshow(np.asarray(shot.convert("L")), cmap=pick(rng, MAPS))
        second.axis("off")
        third.hist(np.asarray(shot.convert("L")).ravel(), bins=40, color="gray")
    return rendered(plot)


@kind(True, held_out=True)
def film(rng: Generator, pictures: Pictures) -> Picture:
    """Frames of the same scene with boxes around what was found, one strip a method."""
    strips, frames = int(rng.integers(1, 4)), int(rng.integers(3, 7))
    high, wide = int(rng.integers(80, 140)), int(rng.integers(100, 190))
    sheet = Image.new("RGB", (frames * (wide + 3), strips * (high + 18)), (20, 20, 20))
    for column in range(frames):
        shot = pictures.photograph(rng, (high, wide))
        for row in range(strips):
            frame = shot.copy()
            pen = ImageDraw.Draw(frame)
            x, y = int(rng.integers(0, wide // 2)), int(rng.integers(0, high // 2))
            colour = ("yellow", "cyan", "magenta")[row]
            pen.rectangle((x, y, x + wide // 3, y + high // 3), outline=colour, width=2)
            pen.text((x + 2, y), "0.9", fill=colour, font=font(rng, 10, True))
            sheet.paste(frame, (column * (wide + 3), row * (high + 18)))
    return sheet


@kind(True, held_out=True)
def rounded(rng: Generator, pictures: Pictures) -> Picture:
    """Photographs with round corners on a tinted ground, with words below each."""
    rows, columns, side = int(rng.integers(1, 4)), int(rng.integers(2, 6)), 130
    tint = tuple(int(v) for v in rng.integers(215, 250, 3))
    sheet = Image.new("RGB", (columns * (side + 24) + 24, rows * (side + 50) + 20), tint)
    pen, written = ImageDraw.Draw(sheet), font(rng, 14, True)
    stencil = Image.new("L", (side, side), 0)
    radius = int(pick(rng, (12, 24, side // 2)))
    ImageDraw.Draw(stencil).rounded_rectangle((0, 0, side, side), radius, fill=255)
    for row in range(rows):
        for column in range(columns):
            x, y = 24 + column * (side + 24), 20 + row * (side + 50)
            sheet.paste(pictures.photograph(rng, (side, side)), (x, y), stencil)
            pen.text((x, y + side + 6), words(rng, 2), fill=INK, font=written)
    return sheet


@kind(False, held_out=True)
def annotated_photograph(rng: Generator, pictures: Pictures) -> Picture:
    """One photograph on matplotlib's axes, with boxes or points."""
    plot = Plot(figsize=(rng.uniform(4, 7), rng.uniform(3, 6)), dpi=90, layout="tight")
    axes = plot.add_subplot()
    axes.imshow(np.asarray(pictures.photograph(rng, (300, 400))))
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0, 300), rng.uniform(0, 200)
        colour = f"C{int(rng.integers(9))}"
        axes.add_patch(Rectangle((x, y), 80, 60, fill=False, edgecolor=colour, linewidth=2))
        axes.text(x, y - 4, words(rng, 1), color="white", backgroundcolor=colour, fontsize=7)
    axes.set_title(words(rng, 3))
    return rendered(plot)


@kind(False, held_out=True)
def bare_photograph(rng: Generator, pictures: Pictures) -> Picture:
    """One photograph of a source that training has not, whole."""
    return pictures.photograph(rng, (int(rng.integers(220, 640)), int(rng.integers(220, 640))))


@kind(False, held_out=True)
def other_plots(rng: Generator, pictures: Pictures) -> Picture:
    """Radar charts, violins, pies, stacks, streams and surfaces, several of them or one."""
    columns = int(rng.integers(1, 4))
    plot = Plot(figsize=(3.2 * columns, 3), dpi=90, layout="tight")
    dark = rng.random() < 0.25
    plot.set_facecolor("black" if dark else "white")
    for number in range(columns):
        which = int(rng.integers(6))
        projection = {0: "polar", 5: "3d"}.get(which)
        axes: Any = plot.add_subplot(1, columns, number + 1, projection=projection)
        axes.set_facecolor("#222222" if dark else "white")
        if which == 0:
            angles = np.linspace(0, 2 * np.pi, 7)
            for _ in range(3):
                axes.fill(angles, rng.random(7), alpha=0.4)
        elif which == 1:
            axes.violinplot([rng.normal(size=60) for _ in range(4)])
        elif which == 2:
            axes.pie(rng.random(5) + 0.1, labels=[words(rng, 1) for _ in range(5)])
        elif which == 3:
            axes.stackplot(np.arange(20), rng.random((4, 20)) + 0.2)
        elif which == 4:
            y, x = np.mgrid[-3:3:20j, -3:3:20j]
            axes.streamplot(x, y, smooth(rng, (20, 20)) - 0.5, smooth(rng, (20, 20)) - 0.5)
        else:
            y, x = np.mgrid[0:1:24j, 0:1:24j]
            axes.plot_surface(x, y, smooth(rng, (24, 24)), cmap=pick(rng, MAPS))
    return rendered(plot)


@kind(False, held_out=True)
def flowchart(rng: Generator, pictures: Pictures) -> Picture:
    """Round boxes and curved arrows."""
    plot = Plot(figsize=(rng.uniform(5, 9), rng.uniform(3, 6)), dpi=90)
    axes = plot.add_axes((0, 0, 1, 1))
    axes.axis("off")
    places = rng.uniform(0.08, 0.8, (int(rng.integers(4, 10)), 2))
    for (x, y), (u, v) in zip(places, np.roll(places, 1, axis=0), strict=True):
        style = f"arc3,rad={rng.uniform(-0.4, 0.4):.2f}"
        arrow = FancyArrowPatch((x, y), (u, v), connectionstyle=style, arrowstyle="->", lw=1.5)
        arrow.set_mutation_scale(14)
        axes.add_patch(arrow)
    for x, y in places:
        face = pick(rng, ("#fde2c8", "#cfe8cf", "#d6e4f7", "#eeeeee"))
        shape = FancyBboxPatch((x, y), 0.12, 0.07, boxstyle="round,pad=0.01", facecolor=face)
        axes.add_patch(shape)
        axes.text(x + 0.01, y + 0.03, words(rng, 1), fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return rendered(plot)


@kind(False, held_out=True)
def network(rng: Generator, pictures: Pictures) -> Picture:
    """A network drawn as slabs, one behind the other."""
    layers = int(rng.integers(4, 11))
    sheet = Image.new("RGB", (layers * 85 + 60, 320), WHITE)
    pen, written = ImageDraw.Draw(sheet), font(rng, 13, True)
    for layer in range(layers):
        high, deep = int(rng.integers(50, 220)), int(rng.integers(10, 40))
        x, y, wide = 30 + layer * 85, 160 - high // 2, int(rng.integers(10, 40))
        base = rng.integers(90, 220, 3)
        front, side, top = (tuple(int(v) for v in base + add) for add in (30, 0, 15))
        pen.rectangle((x, y, x + wide, y + high), fill=front, outline=INK)
        right = [(x + wide, y), (x + wide + deep, y - deep), (x + wide + deep, y + high - deep)]
        pen.polygon([*right, (x + wide, y + high)], fill=side, outline=INK)
        above = [(x, y), (x + deep, y - deep), (x + wide + deep, y - deep), (x + wide, y)]
        pen.polygon(above, fill=top, outline=INK)
        size = f"{int(2 ** rng.integers(3, 10))}"
        pen.text((x, y + high + 6), size, fill=INK, font=written)
    return sheet


@kind(False, held_out=True)
def code(rng: Generator, pictures: Pictures) -> Picture:
    """A listing, its words in colours."""
    dark = rng.random() < 0.5
    ground = (30, 32, 40) if dark else (248, 248, 248)
    sheet = Image.new("RGB", (int(rng.integers(420, 800)), int(rng.integers(160, 600))), ground)
    pen, written = ImageDraw.Draw(sheet), font(rng, int(rng.integers(12, 18)), True)
    step = int(written.size * 1.4)
    inks = ("#5a9bd5", "#c678dd", "#98a030", "#d08050", "#dddddd" if dark else "#222222")
    for y in range(8, sheet.height - step, step):
        x = 12.0 + 24 * int(rng.integers(0, 4))
        for _ in range(int(rng.integers(1, 7))):
            word = pick(
                rng, ("def ", "return ", "for x in ", "if ", f"{words(rng, 1)}(", ") ", "= ")
            )
            pen.text((x, y), word, fill=pick(rng, inks), font=written)
            x += pen.textlength(word, font=written)
    return sheet


@kind(False, held_out=True)
def formulas(rng: Generator, pictures: Pictures) -> Picture:
    """Formulas, one below the other."""
    plot = Plot(figsize=(rng.uniform(4, 8), rng.uniform(1.5, 5)), dpi=100)
    terms = (
        *(r"\sum_{i=1}^{n} x_i^2", r"\int_0^1 f(t)\,dt", r"\frac{\partial L}{\partial w}"),
        *(r"\alpha \cdot \beta", r"\sqrt{1 - \gamma^2}", r"\|x - \hat{x}\|_2", r"\log p(y|x)"),
    )
    for y in np.linspace(0.1, 0.85, int(rng.integers(2, 7))):
        said = " + ".join(pick(rng, terms) for _ in range(int(rng.integers(1, 4))))
        plot.text(0.05, float(y), f"${said} = {pick(rng, terms)}$", fontsize=rng.uniform(11, 18))
    return rendered(plot)


@kind(False, held_out=True)
def interface(rng: Generator, pictures: Pictures) -> Picture:
    """A window with a bar, buttons, a list and icons."""
    width, height = int(rng.integers(500, 900)), int(rng.integers(320, 640))
    sheet = Image.new("RGB", (width, height), (243, 243, 246))
    pen, written = ImageDraw.Draw(sheet), font(rng, 13, True)
    pen.rectangle((0, 0, width, 34), fill=tuple(int(v) for v in rng.integers(40, 160, 3)))
    for number, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")):
        pen.ellipse((10 + 20 * number, 10, 24 + 20 * number, 24), fill=colour)
    side = int(width * 0.25)
    pen.rectangle((0, 34, side, height), fill=(228, 230, 236))
    for y in range(50, height - 20, 26):
        pen.text((12, y), words(rng, 2), fill=(60, 60, 70), font=written)
    for x in range(side + 16, width - 90, 110):
        for y in range(60, height - 60, 120):
            pen.rounded_rectangle((x, y, x + 90, y + 90), 8, fill=WHITE, outline=(200, 200, 210))
            thing = pictures.cutout(rng, 56)
            sheet.paste(thing, (x + 17, y + 8), thing)
            pen.text((x + 8, y + 70), words(rng, 1), fill=INK, font=written)
    return sheet


@kind(False, held_out=True)
def shaded_things(rng: Generator, pictures: Pictures) -> Picture:
    """Shaded drawn things in a grid, on coloured grounds: no photograph."""
    rows, columns, side = int(rng.integers(1, 4)), int(rng.integers(2, 6)), 150
    gap = int(pick(rng, (0, 2, 8)))
    step = side + gap
    sheet = Image.new("RGB", (columns * step - gap, rows * step - gap), WHITE)
    for row in range(rows):
        for column in range(columns):
            ends = rng.integers(60, 256, (2, 3))
            share = np.linspace(0, 1, side)[:, None, None]
            ground = (ends[0] * (1 - share) + ends[1] * share).astype(np.uint8)
            tile = Image.fromarray(np.repeat(ground, side, axis=1))
            thing = pictures.cutout(rng, 120)
            tile.paste(thing, (15, 15), thing)
            sheet.paste(tile, (column * step, row * step))
    return sheet


@kind(False, held_out=True)
def patterns(rng: Generator, pictures: Pictures) -> Picture:
    """Stripes, checks, waves and cells in a grid: textures that a program draws."""
    rows, columns, side = int(rng.integers(1, 4)), int(rng.integers(2, 6)), 140
    gap = int(pick(rng, (0, 2, 6)))
    sheet = Image.new("RGB", (columns * (side + gap), rows * (side + gap)), WHITE)
    y, x = np.mgrid[:side, :side] / side
    for row in range(rows):
        for column in range(columns):
            a, b = rng.uniform(3, 20, 2)
            which = int(rng.integers(4))
            if which == 0:
                field = np.sin(a * x + b * y) * 0.5 + 0.5
            elif which == 1:
                field = ((np.floor(a * x) + np.floor(b * y)) % 2).astype(float)
            elif which == 2:
                field = np.sin(a * np.hypot(x - 0.5, y - 0.5) * 4) * 0.5 + 0.5
            else:
                seeds = rng.random((12, 2))
                far = np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1])
                field = far.argmin(axis=-1) / 12
            tile = coloured(field, pick(rng, MAPS))
            sheet.paste(tile, (column * (side + gap), row * (side + gap)))
    return sheet


@kind(False, held_out=True)
def board(rng: Generator, pictures: Pictures) -> Picture:
    """A calendar, a crossword or a confusion matrix: many equal cells with signs."""
    rows, columns, side = (
        int(rng.integers(4, 10)),
        int(rng.integers(4, 10)),
        int(rng.integers(30, 70)),
    )
    sheet = Image.new("RGB", (columns * side + 1, rows * side + 1), WHITE)
    pen, written = ImageDraw.Draw(sheet), font(rng, side // 3, True)
    heat = smooth(rng, (rows, columns), 0.2)
    which = int(rng.integers(3))
    tints = coloured(heat, pick(rng, ("Blues", "Greens", "Oranges")))
    for row in range(rows):
        for column in range(columns):
            box = (column * side, row * side, (column + 1) * side, (row + 1) * side)
            black = which == 1 and rng.random() < 0.25
            fill = (INK if black else WHITE) if which < 2 else tints.getpixel((column, row))
            pen.rectangle(box, fill=fill, outline=(90, 90, 90))
            said = f"{int(rng.integers(100))}"
            pen.text((box[0] + side // 5, box[1] + side // 4), said, fill=INK, font=written)
    return sheet
