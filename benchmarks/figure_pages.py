"""Pages that a filter of figures learns from, and what all pages are drawn with.

A page is of a kind, which says whether it is a grid with at least one natural image. It follows
from the seed, its kind and its number. Kinds that are held out stand in
`figure_pages_held_out.py`.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Plot
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vicl.evaluation.datasets.manifests import read_manifest
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.images import open_image, to_rgb

Value = TypeVar("Value")
Picture = Image.Image

WHITE: Final = (255, 255, 255)
INK: Final = (0, 0, 0)
LONGEST: Final = 1024
"""Of a figure's sides, as extracted."""

_WORDS: Final = (
    "model image features training loss of the on with learned depth mask query example ours "
    "baseline network results for accuracy error input output ground truth method layer weights "
    "data set each pixel scale and or attention encoder decoder sampling prior noise step"
)


@dataclass(frozen=True)
class Pictures:
    """What pages show.

    Attributes:
        photographs: Files of photographs.
        cutouts: Files of pictures with transparency.
        masks: Label maps of photographs, by the photographs' files.
        folders: Of photographs and their label maps, for synthetic figures.
    """

    photographs: tuple[Path, ...]
    cutouts: tuple[Path, ...]
    masks: dict[Path, Path]
    folders: tuple[Path, Path] | None

    @classmethod
    def train(cls, data: Path) -> Pictures:
        """Those of the development data that shipped weights may learn from."""
        chosen = [row for row in read_manifest(data) if row["use"] == "train"]
        files = {data / row["image"]: data / row["annotations"]["mask"]["path"] for row in chosen}
        cutouts = tuple(sorted((data / "objects").glob("*.png")))
        return cls(tuple(files), cutouts, files, (data / "images/ccp", data / "masks/ccp"))

    @classmethod
    def evaluate(cls, data: Path) -> Pictures:
        """Those that no shipped weights have seen, and cut-outs in another style."""
        chosen = [row for row in read_manifest(data) if row["use"] == "evaluate"]
        masks = {
            data / row["image"]: data / row["annotations"]["mask"]["path"]
            for row in chosen
            if "mask" in row["annotations"]
        }
        cutouts = tuple(sorted((data / "objects3d").glob("*.webp")))
        return cls(tuple(data / row["image"] for row in chosen), cutouts, masks, None)

    def photograph(
        self, rng: Generator, size: tuple[int, int], path: Path | None = None
    ) -> Picture:
        """A part of a photograph, (height, width) in pixels."""
        image = opened(path or pick(rng, self.photographs))
        height, width = size
        share = float(rng.uniform(0.35, 1.0))
        factor = min(image.width / width, image.height / height) * share
        wide, high = width * factor, height * factor
        left = float(rng.uniform(0, image.width - wide))
        top = float(rng.uniform(0, image.height - high))
        box = (left, top, left + wide, top + high)
        shown = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
        return shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else shown

    def cutout(self, rng: Generator, side: int) -> Picture:
        """A cut-out, RGBA."""
        return open_image(pick(rng, self.cutouts)).convert("RGBA").resize((side, side))


@dataclass(frozen=True)
class Kind:
    """A kind of page.

    Attributes:
        name: Unique.
        wanted: Whether such pages are grids with at least one natural image.
        draw: Draws one.
        held_out: Whether training never draws it.
        often: How often it is drawn beside the others.
    """

    name: str
    wanted: bool
    draw: Callable[[Generator, Pictures], Picture]
    held_out: bool = False
    often: int = 1


KINDS: Final[dict[str, Kind]] = {}


def kind(wanted: bool, *, held_out: bool = False, often: int = 1) -> Callable[[Any], Any]:
    """List a function as a kind of page."""

    def listed(draw: Callable[[Generator, Pictures], Picture]) -> Any:
        name = draw.__name__
        KINDS[name] = Kind(name, wanted, draw, held_out, often)
        return draw

    return listed


def page(name: str, pictures: Pictures, seed: int, index: int) -> Picture:
    """Draw page number `index` of a kind, as a figure is extracted: RGB, no side over 1024."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), index])
    drawn = KINDS[name].draw(rng, pictures).convert("RGB")
    longest = int(min(LONGEST, max(drawn.size) * rng.uniform(0.6, 1.6)))
    drawn.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        drawn.save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
        drawn = Image.open(buffer).convert("RGB")
    return drawn


def pick(rng: Generator, values: Sequence[Value]) -> Value:
    """One of several."""
    return values[int(rng.integers(len(values)))]


@lru_cache(maxsize=512)
def opened(path: Path) -> Picture:
    """A photograph, RGB."""
    return to_rgb(open_image(path))


@cache
def fonts(held_out: bool = False) -> tuple[Path, ...]:
    """Matplotlib's own fonts; those of TeX's Computer Modern are held out."""
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    names = ("cmr10", "cmss10", "cmtt10") if held_out else ("DejaVuSans", "DejaVuSerif")
    more = () if held_out else ("DejaVuSans-Bold", "STIXGeneral", "STIXGeneralBol")
    return tuple(folder / f"{name}.ttf" for name in (*names, *more))


def font(rng: Generator, size: int, held_out: bool = False) -> ImageFont.FreeTypeFont:
    """A font of `size` pixels."""
    return ImageFont.truetype(pick(rng, fonts(held_out)), size)


def words(rng: Generator, count: int) -> str:
    """So many words, as they stand in captions."""
    known = _WORDS.split()
    return " ".join(pick(rng, known) for _ in range(count))


def paper(rng: Generator) -> tuple[int, int, int]:
    """Colour of a page: white mostly."""
    if rng.random() < 0.8:
        return WHITE
    level = int(pick(rng, (0, 0, 235, 245, 128)))
    return (level, level, level)


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Colour of text on a page."""
    return INK if sum(colour) > 360 else WHITE


def rendered(plot: Plot) -> Picture:
    """A plot as a picture."""
    canvas: Any = FigureCanvasAgg(plot)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def smooth(rng: Generator, size: tuple[int, int], scale: float = 0.1) -> np.ndarray:
    """A smooth random field in [0, 1]."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(rng.normal(size=size), scale * min(size), mode="wrap")
    lowest = field.min()
    return np.asarray((field - lowest) / (field.max() - lowest + 1e-9))


def coloured(field: np.ndarray, name: str) -> Picture:
    """A field in [0, 1] in the colours of a colour map."""
    return Image.fromarray((matplotlib.colormaps[name](field)[..., :3] * 255).astype(np.uint8))


MAPS: Final = ("viridis", "jet", "magma", "gray", "plasma", "Spectral", "inferno", "turbo")


@dataclass(frozen=True)
class Table:
    """A grid of cells on a page, with room for what is written around it.

    Attributes:
        size: (height, width) of each cell.
        gap: Pixels between cells, (down, across).
        margin: Around all of them.
        captions: Whether something is written below each cell.
        headings: Whether something is written above each column.
        names: Whether something is written at the left of each row.
        framed: Whether a line is drawn around each cell.
    """

    size: tuple[int, int]
    gap: tuple[int, int]
    margin: int
    captions: bool = False
    headings: bool = False
    names: bool = False
    framed: bool = False

    @classmethod
    def drawn(cls, rng: Generator, rows: int, columns: int) -> Table:
        """A table that fits a figure."""
        side = int(min(240, 900 / max(rows, columns)) * rng.uniform(0.6, 1.0))
        size = (max(28, int(side * rng.uniform(0.7, 1.0))), max(28, int(side)))
        if rng.random() < 0.25:
            size = (size[1], size[0])
        gap = int(pick(rng, (0, 0, 1, 2, 2, 3, 4, 6, 8, 12, 18, 30, 45, 70)))
        other = gap if rng.random() < 0.7 else int(rng.integers(0, 50))
        margin = int(pick(rng, (0, 0, 0, 2, 8, 20)))
        captions, headings, names = (bool(chance < 0.25) for chance in rng.random(3))
        framed = bool(rng.random() < 0.15)
        return cls(size, (gap, other), margin, captions, headings, names, framed)

    def lay(self, rng: Generator, cells: Sequence[Sequence[Picture]]) -> Picture:
        """Put cells on a page; each is stretched to its place."""
        (height, width), colour = self.size, paper(rng)
        written = font(rng, max(9, min(18, height // 8)))
        line = int(written.size * 1.5)
        step = (height + self.gap[0] + line * self.captions, width + self.gap[1])
        left, top = self.margin + 3 * line * self.names, self.margin + line * self.headings
        columns = max(len(row) for row in cells)
        drawn = Image.new(
            "RGB",
            (
                left + columns * step[1] - self.gap[1] + self.margin,
                top + len(cells) * step[0] - self.gap[0] + self.margin,
            ),
            colour,
        )
        pen, dark = ImageDraw.Draw(drawn), ink_on(colour)
        for at, row in enumerate(cells):
            y = top + at * step[0]
            if self.names:
                pen.text((self.margin, y + height // 3), words(rng, 1), fill=dark, font=written)
            for place, cell in enumerate(row):
                x = left + place * step[1]
                drawn.paste(cell.resize((width, height)), (x, y))
                if self.framed:
                    box = (x - 1, y - 1, x + width, y + height)
                    pen.rectangle(box, outline=dark, width=1)
                if self.headings and at == 0:
                    pen.text((x + 4, self.margin), words(rng, 1), fill=dark, font=written)
                if self.captions:
                    said = f"({chr(97 + (at * columns + place) % 26)}) {words(rng, 1)}"
                    pen.text((x + 4, y + height + 1), said, fill=dark, font=written)
        return drawn


def derived(rng: Generator, shot: Picture, mask: np.ndarray | None = None) -> Picture:
    """What papers show beside a photograph: maps of it, and the photograph changed.

    Args:
        rng: Decides.
        shot: The photograph.
        mask: True where its thing is, of the same size; None draws one.
    """
    size = (shot.height, shot.width)
    if mask is None:
        mask = smooth(rng, size, 0.15) > rng.uniform(0.5, 0.7)
    levels = np.asarray(shot)
    which = int(rng.integers(9))
    if which == 0:
        return Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB")
    if which == 1:
        tint = np.array(pick(rng, ((255, 0, 0), (0, 255, 0), (0, 80, 255), (255, 220, 0))))
        return Image.fromarray(np.where(mask[..., None], (levels + tint) // 2, levels).astype("u1"))
    if which == 2:
        return shot.filter(ImageFilter.FIND_EDGES).convert("L").convert("RGB")
    if which == 3:
        heat = np.asarray(coloured(smooth(rng, size), pick(rng, MAPS)))
        mixed = (levels * 0.5 + heat * 0.5) if rng.random() < 0.5 else heat
        return Image.fromarray(mixed.astype(np.uint8))
    if which == 4:
        return shot.filter(ImageFilter.GaussianBlur(min(size) / 30))
    if which == 5:
        noisy = levels + rng.normal(0, rng.uniform(15, 60), levels.shape)
        return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    if which == 6:
        return shot.convert("L").convert("RGB")
    if which == 7:
        return coloured(np.asarray(shot.convert("L")) / 255, pick(rng, MAPS))
    small = shot.resize((max(2, size[1] // 8), max(2, size[0] // 8)))
    return small.resize(shot.size, Image.Resampling.NEAREST)


@cache
def synthetic(folders: tuple[Path, Path] | None, side: int) -> SyntheticFigures:
    """Synthetic figures of photographs; without folders, of what vicl draws."""
    if folders is None:
        return SyntheticFigures(size=side, seed=7, clean=0.4)
    photographs, masks = folders
    return SyntheticFigures(
        size=side, seed=7, clean=0.4, families=(), photographs=photographs, masks=masks
    )
