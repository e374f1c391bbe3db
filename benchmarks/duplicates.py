"""How many generated copies of pictures are found, and how many others are taken for copies.

    python benchmarks/duplicates.py                          # recall and precision
    python benchmarks/duplicates.py --photographs DIR        # of these and the package's
    python benchmarks/duplicates.py --figures 1000000        # the time that so many figures take

Recall: of each picture a copy is made in each way, and looked for among the pictures of its kind,
as `vicl figures dedup` does: by an agreement of 0.9 a figure is left out, by one of 0.5 it is told
of, and left out where it is near an excluded picture. Precision: of the copies that are found near
a picture, those that are nearest their own original; and how many of the originals are taken for
copies of each other. Plots are lines, bars and points on the same axes, which is the worst that
papers have.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vicl.figures.arxiv.dataset.duplicates import Hashed, find_duplicates
from vicl.figures.arxiv.dataset.hashing import GRADIENT_BYTES, Hashes, Look, hash_picture
from vicl.figures.arxiv.dataset.near import LookIndex, Looks
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.files.packaged import PHOTOS
from vicl.images import find_images, open_image, to_rgb

AGREEMENTS = (0.9, 0.8, 0.5)


def jpeg(picture: Image.Image) -> Image.Image:
    """Encoded as JPEG at quality 50."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=50)
    return to_rgb(Image.open(buffer))


def half(picture: Image.Image) -> Image.Image:
    """At half of its size."""
    size = max(1, picture.width // 2), max(1, picture.height // 2)
    return picture.resize(size, Image.Resampling.LANCZOS)


def cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without some shares of its width and height."""
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return picture.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 50": jpeg,
    "scale 0.5": half,
    "mirror": ImageOps.mirror,
    "grey": lambda picture: to_rgb(picture.convert("L")),
    "white border 5%": lambda picture: ImageOps.expand(picture, picture.width // 20, "white"),
    "black border 5%": lambda picture: ImageOps.expand(picture, picture.width // 20, "black"),
    "crop 5%, around": lambda picture: cut(picture, 0.025, 0.025, 0.025, 0.025),
    "crop 5%, left and top": lambda picture: cut(picture, 0.05, 0.05, 0, 0),
    "crop 3%, right": lambda picture: cut(picture, 0, 0, 0.03, 0),
    "crop 10%, around": lambda picture: cut(picture, 0.05, 0.05, 0.05, 0.05),
    "mirror, scale, JPEG": lambda picture: jpeg(half(ImageOps.mirror(picture))),
}


def photographs(folder: Path | None) -> list[Image.Image]:
    """The package's photographs and those of a folder, the longest side at most 1024."""
    paths = [path for path in find_images(PHOTOS) if path.suffix == ".jpg"]
    paths = [path for path in paths if not path.stem.endswith("negative")]
    paths += [] if folder is None else find_images(folder)
    pictures = [to_rgb(open_image(path)) for path in paths]
    for picture in pictures:
        picture.thumbnail((1024, 1024))
    return pictures


def plots(count: int, seed: int) -> list[Image.Image]:
    """Plots of random data, a kind after the other, each kind on the same axes."""
    from matplotlib.figure import Figure

    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        figure = Figure(figsize=(5, 3.5), dpi=100)
        axes = figure.subplots()
        x = np.linspace(0, 1, 50)
        if number % 3 == 0:
            for _ in range(3):
                axes.plot(x, np.exp(-x * rng.uniform(1, 9)) + rng.normal(size=50) / 50)
        elif number % 3 == 1:
            axes.bar(range(8), rng.random(8))
        else:
            axes.scatter(rng.random(60), rng.random(60))
        axes.set(ylim=(0, 1.1), ylabel="accuracy", xlabel="x")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        found.append(to_rgb(Image.open(buffer)))
    return found


def measure(name: str, pictures: list[Image.Image]) -> None:
    """Print a table of a kind of pictures."""
    originals = [hash_picture(picture) for picture in pictures]
    looks = Looks.of([hashes.looks for hashes in originals])
    index = LookIndex(looks, np.ones(len(looks), np.bool_))
    print(f"\n{name}: {len(pictures)} pictures")
    print(f"| copy | {' | '.join(f'found at {a}' for a in AGREEMENTS)} | median agreement |")
    print(f"|---|{'---|' * len(AGREEMENTS)}---|")
    found_near, found_right = 0, 0
    for way, copy in COPIES.items():
        copies = Looks.of([hash_picture(copy(picture)).looks for picture in pictures])
        likest = index.likest(copies)
        right = [like.agreement for number, like in likest.items() if like.of == number]
        found_near, found_right = found_near + len(likest), found_right + len(right)
        shares = [sum(a >= least for a in right) / len(pictures) for least in AGREEMENTS]
        middle = f"{np.median(right):.2f}" if right else "none"
        print(f"| {way} | {' | '.join(f'{share:.3f}' for share in shares)} | {middle} |")
    print(f"precision of what is near: {found_right} of {found_near}")
    figures = [Hashed(f"{n:06d}", hashes) for n, hashes in enumerate(originals)]
    for least in AGREEMENTS:
        found = find_duplicates(figures, {}, agreement=least)
        wrong = sum(duplicate.verdict in ("copy", "exact") for duplicate in found)
        print(f"originals taken for copies of each other at {least}: {wrong} of {len(figures)}")


def measure_time(count: int, seed: int) -> None:
    """Print the time that many figures take, of which a tenth are copies."""
    rng = np.random.default_rng(seed)
    phashes = rng.integers(0, 1 << 64, count, np.uint64)
    gradients = rng.integers(0, 256, (count, GRADIENT_BYTES), np.uint8)
    copies = rng.random(count) < 0.1
    copies[: count // 10] = False
    sources = rng.integers(0, count // 10, count)
    bits = rng.integers(0, 64, (count, 5)).astype(np.uint64)
    turned = np.bitwise_or.reduce(np.uint64(1) << bits, axis=1)
    phashes[copies] = phashes[sources[copies]] ^ turned[copies]
    gradients[copies] = gradients[sources[copies]]
    figures = []
    for number in range(count):
        looks = [Look(int(phashes[number]), gradients[number].tobytes())]
        # Another look of the same: as far from the first as the middle of a photograph is.
        middle = looks[0].phash ^ sum(1 << int(bit) for bit in rng.choice(64, 6, replace=False))
        looks.append(Look(middle, gradients[number].tobytes()))
        figures.append(Hashed(str(number), Hashes(str(number), tuple(looks))))
    wall, processor = time.perf_counter(), time.process_time()
    found = find_duplicates(figures, {}, agreement=0.9)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count} figures, {copies.sum()} copies of which {len(found)} found: {processor:.0f} "
        f"processor seconds on one core, {wall:.0f} s by the clock, {memory:.0f} MiB at most"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photographs", type=Path, help="a folder of further photographs")
    parser.add_argument("--pages", type=int, default=300, help="synthetic figures and plots")
    parser.add_argument("--figures", type=int, help="measure the time for so many hashes instead")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.figures:
        measure_time(given.figures, given.seed)
        return
    measure("photographs", photographs(given.photographs))
    source = SyntheticFigures(seed=given.seed)
    pages = [Image.fromarray(source.figure(number).image) for number in range(given.pages)]
    measure("synthetic figures", pages)
    measure("plots", plots(given.pages, given.seed))


if __name__ == "__main__":
    main()
