"""A person's time in the app: with the loop, against marking every image by hand.

    pip install "vicl[app,browser]"     # and Debian's package `chromium`
    python benchmarks/persons_time.py --data ../shared/data [--set davis-cars] [--count 40]
    python benchmarks/persons_time.py --film docs/app-loop.webp

A scripted person (`person.py`) drives the real page in Chromium from an opened folder to an
exported zip with COCO masks, twice. The bar is the same for both: an image is good once its mask
overlaps the truth by `--bar` (0.8) or more. **By hand**: polygons around the thing's pieces, the
largest first and no finer than the bar needs, on every image. **With the loop**: the first image is
marked so, its ground filled; the answers are looked at, the least sure first; a good one is
accepted by a key, a wrong one is corrected, by brush strokes in its largest errors or anew by hand,
whichever takes fewer seconds, and looked at again until it is good; the first `--examples` - 1
corrected ones become examples, and all that is still open is answered anew and waited for. Gestures
are keys, clicks (a corner is one) and drags; the person's seconds are what `person.py` says they
cost. The page's and server's seconds are measured waits: nothing is done meanwhile. What the server
holds after each plan is compared with what its strokes make (`misplaced`: the share of pixels at
most), exported masks with the truth.

`--film` makes the animated picture of the documentation, on photographs of the package.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from browsing import (
    answered,
    chromium,
    fetched,
    framed,
    items,
    opened,
    screenshot,
    served,
    shown,
    until,
)
from person import (
    BUTTON,
    POINT,
    Person,
    Plan,
    as_mask,
    corrected,
    outlined,
    overlap,
    played,
)
from vicl.exports.rle import decode_rle
from vicl.files.packaged import PHOTOS
from vicl.server.marks import Marks

SIZE = (1440, 900)
MOST_LOOKS = 6
FILMED = ("dandelion_1", "dandelion_2", "dandelion_3", "meadow_1", "meadow_2")
SORTED = """fetch('/v1/images?sort=unsure&offset=0&limit=1000').then(reply => reply.json()).then(
    all => [...document.querySelectorAll('.tile')].every((tile, place) =>
        tile.dataset.id === all.items[place].id))"""
"""The least sure come first in the page."""
Truths = dict[str, np.ndarray]


@dataclass(frozen=True)
class Way:
    """What one way took."""

    person: Person
    waited: float
    processor: float
    looked: str
    misplaced: float
    masks: Truths


def main() -> None:
    """Measure and print, or film."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of development images")
    parser.add_argument("--set", choices=tuple(SETS), default="davis-cars")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bar", type=float, default=0.8)
    parser.add_argument("--examples", type=int, default=3)
    parser.add_argument("--way", choices=("loop", "by hand"), help="this alone")
    parser.add_argument("--film", type=Path, help="write the animated picture instead")
    given = parser.parse_args()
    if given.film is None and given.data is None:
        parser.error("say --data FOLDER or --film FILE")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        folder.mkdir()
        if given.film is not None:
            _film(folder, given.film)
            return
        truths = SETS[given.set](given.data, folder, given.count, given.seed)
        print(f"{given.set}: {len(truths)} images, bar {given.bar}, seed {given.seed}")
        print("| way | gestures | person | waits (processor) | mean IoU | at the bar |")
        for name, way in (("loop", with_loop), ("by hand", by_hand)):
            if given.way not in (None, name):
                continue
            done = run(folder, truths, given.bar, given.examples, way)
            scores = [overlap(done.masks[one], truth) for one, truth in truths.items()]
            person, good = done.person, sum(score >= given.bar for score in scores)
            print(
                f"| {name} | {person.gestures} {person.kinds} | {person.seconds:.0f} s | "
                f"{done.waited:.0f} s ({done.processor:.0f} s) | {np.mean(scores):.3f} | "
                f"{good}/{len(scores)} | {done.looked}; misplaced {done.misplaced:.2%}; "
                f"under the bar {[round(score, 3) for score in scores if score < given.bar]}",
                flush=True,
            )


def davis_cars(data: Path, folder: Path, count: int, seed: int) -> Truths:
    """Frames of three sequences with one car each: one kind of thing that changes its look."""
    return _taken(
        data, folder, count, seed, lambda row: row.get("sequence") in CARS, lambda mask: mask > 0
    )


def field_plants(data: Path, folder: Path, count: int, seed: int) -> Truths:
    """Plants in a field, many small leaves: outlines are long."""
    return _taken(
        data, folder, count, seed, lambda row: row["source"] == "cwfid", lambda mask: mask > 0
    )


CARS = ("car-roundabout", "drift-chicane", "drift-straight")
SETS: dict[str, Callable[[Path, Path, int, int], Truths]] = {
    "davis-cars": davis_cars,
    "cwfid-plants": field_plants,
}


def _taken(
    data: Path,
    folder: Path,
    count: int,
    seed: int,
    wanted: Callable[[Mapping[str, Any]], bool],
    thing: Callable[[np.ndarray], np.ndarray],
) -> Truths:
    """Copy images drawn by a seed; their truths by file name."""
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    rows = [row for row in rows if wanted(row)]
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    truths = {}
    for place in sorted(drawn):
        row = rows[place]
        path = Path(row["image"])
        shutil.copy(data / path, folder / path.name)
        mask = np.asarray(Image.open(data / row["annotations"]["mask"]["path"]))
        truths[path.name] = thing(mask)
    return truths


def run(
    folder: Path,
    truths: Truths,
    bar: float,
    examples: int,
    way: Callable[[Desk], str],
) -> Way:
    """One way, from the open folder to the exported zip."""
    shutil.rmtree(folder / "vicl-project", ignore_errors=True)
    with served(folder) as app, chromium() as browser:
        before = app.processor()
        desk = Desk(opened(browser, app.address, SIZE), truths, bar, examples)
        said = way(desk)
        used = app.processor() - before
        return Way(desk.person, desk.waited, used, said, desk.misplaced, desk.export())


class Desk:
    """The open page, and what the person knows."""

    def __init__(self, page: Any, truths: Truths, bar: float, examples: int) -> None:
        self.page, self.truths, self.bar, self.examples = page, truths, bar, examples
        self.person, self.waited, self.misplaced = Person(page), 0.0, 0.0
        self.ids = {one["id"]: one["name"] for one in items(page)}

    def wait(self, state: Callable[[Any], None]) -> None:
        """Wait for the machine, and count it."""
        started = time.perf_counter()
        state(self.page)
        self.waited += time.perf_counter() - started

    def now(self) -> str:
        """The open image's id, once it is shown."""
        self.wait(shown)
        found: str = self.page.locator(".tile[aria-current=true]").get_attribute("data-id")
        return found

    def truth(self, image: str) -> np.ndarray:
        """What is right."""
        return self.truths[self.ids[image]]

    def marks(self, image: str) -> Marks:
        """The marks that the server holds."""
        data = fetched(self.page, f"/v1/images/{image}/marks")
        assert data is not None
        return np.asarray(Image.open(io.BytesIO(data)))

    def seen(self, image: str) -> np.ndarray:
        """What the page shows of the thing."""
        answer = fetched(self.page, f"/v1/images/{image}/answer")
        under = None if answer is None else np.asarray(Image.open(io.BytesIO(answer)))
        return as_mask(self.marks(image), under)

    def scale(self, image: str) -> float:
        """Pixels of the screen a pixel of the image."""
        height, width = self.truth(image).shape
        return framed(self.page, (width, height)).scale

    def do(self, plan: Plan, image: str) -> None:
        """Perform a plan on the open image, and see that the server has all of it."""
        height, width = self.truth(image).shape
        planned = played(self.marks(image), plan, self.person.size)
        self.person.perform(plan, (height, width))
        self.misplaced = max(self.misplaced, float((self.marks(image) != planned).mean()))

    def correct(self, image: str, *, ground: bool) -> str:
        """Mark the open image until it is good, looking again after each try.

        Returns:
            How it began: by strokes over its answer, or anew by hand; empty: it was good.
        """
        truth, scale, said = self.truth(image), self.scale(image), ""
        for _ in range(MOST_LOOKS):
            if overlap(seen := self.seen(image), truth) >= self.bar:
                break
            whole = None if said else outlined(truth, self.bar, scale, ground=ground)
            most = math.inf if whole is None else whole.seconds(scale)
            strokes = corrected(seen, truth, self.bar, scale, self.person.size, most=most)
            plans = [plan for plan in (strokes, whole) if plan is not None]
            if not plans:
                break
            plan = min(plans, key=lambda one: one.seconds(scale))
            said = said or ("by hand" if plan is whole else "painted")
            self.do(plan, image)
            self.person.look()
        return said

    def teach(self, image: str) -> None:
        """Wait for the answers by the open image, an example.

        Where nothing is marked its own answer counts, which comes first, and is another by then.
        """
        for _ in range(MOST_LOOKS):
            self.wait(partial(answered, image=image))
            if not self.correct(image, ground=True):
                break
        self.wait(answered)

    def tell(self, image: str, said: str) -> None:
        """Say on the error stream how far it is: a set of long outlines takes a while."""
        person = self.person
        print(
            f"{self.ids[image]}: {said}; {person.gestures} gestures, {person.seconds:.0f} s, "
            f"waited {self.waited:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    def export(self) -> Truths:
        """Take COCO out of what is accepted; masks by file name."""
        self.person.press("#open-export")
        for label in ("Masks: black and white",):
            self.person.press(f"dialog >> text={label}")
        started = time.perf_counter()
        with self.page.expect_download() as download:
            self.person.press("dialog button[type=submit]")
        with zipfile.ZipFile(download.value.path()) as archive:
            coco = json.loads(archive.read("coco/annotations.json"))
        self.waited += time.perf_counter() - started
        names = {one["id"]: one["file_name"] for one in coco["images"]}
        masks = {name: np.zeros(truth.shape, bool) for name, truth in self.truths.items()}
        for one in coco["annotations"]:
            masks[names[one["image_id"]]] |= decode_rle(one["segmentation"])
        return masks


def by_hand(desk: Desk) -> str:
    """Every image by polygons; none is an example, so that what is unmarked is ground."""
    person = desk.person
    person.press("#live")
    for _ in desk.ids:
        image = desk.now()
        desk.do(outlined(desk.truth(image), desk.bar, desk.scale(image), ground=False), image)
        person.look()
        desk.correct(image, ground=False)
        desk.page.wait_for_selector("#example[aria-pressed=true]")
        person.key("m")
        desk.page.wait_for_selector("#example[aria-pressed=false]")
        _accept(desk, image)
        desk.tell(image, "by hand")
    return ""


def with_loop(desk: Desk, film: Callable[[str], None] = lambda said: None) -> str:
    """Mark one, judge the others, the least sure first."""
    person = desk.person
    image = desk.now()
    film("The first photograph: outline the thing, fill the ground")
    desk.do(outlined(desk.truth(image), desk.bar, desk.scale(image), ground=True), image)
    person.look()
    desk.correct(image, ground=True)
    film("It is an example; the others are answered")
    desk.teach(image)
    for _ in range(2):  # the list, and its entry; its popup is no part of the page
        person.count("clicks", POINT + 2 * BUTTON)
    desk.page.select_option("#sort", "unsure")
    desk.wait(partial(until, expression=SORTED))
    _accept(desk, image)
    examples, good, began = 1, 0, Counter[str]()
    for _ in range(len(desk.ids) - 1):
        if not any(one["status"] == "open" for one in items(desk.page)):
            break
        image = desk.now()
        person.look()
        how = "good"
        if overlap(desk.seen(image), desk.truth(image)) >= desk.bar:
            good += 1
            film("Good as it is: A accepts it")
        else:
            film("Wrong: corrected in place")
            how = desk.correct(image, ground=True)
            began[how] += 1
            if examples < desk.examples:
                examples += 1
                person.key("m")
                desk.page.wait_for_selector(f".tile[data-id='{image}'] .badge.example")
                film("M makes it an example; what is open is answered anew")
                desk.teach(image)
        _accept(desk, image)
        desk.tell(image, how)
    film("Every image is judged: export")
    return f"{examples} examples; {good} good as answered, {dict(began)}"


def _accept(desk: Desk, image: str) -> None:
    desk.person.key("a")
    desk.page.wait_for_selector(f".tile[data-id='{image}'] .badge:is(.accepted, .example)")
    until(
        desk.page,
        "image => fetch('/v1/images?sort=name&offset=0&limit=1000').then(reply => reply.json())"
        ".then(all => all.items.find(one => one.id === image).status === 'accepted')",
        image,
    )
    desk.page.wait_for_timeout(30)


def _film(folder: Path, out: Path) -> None:
    """The loop on photographs of the package, as an animated WebP."""
    truths = {}
    for name in FILMED:
        shutil.copy(PHOTOS / f"{name}.jpg", folder)
        mask = np.asarray(Image.open(PHOTOS / f"{name}_mask.png").convert("L"))
        truths[f"{name}.jpg"] = mask > 127
    frames: list[Image.Image] = []
    with served(folder) as app, chromium() as browser:
        desk = Desk(opened(browser, app.address, (1280, 720)), truths, 0.8, 2)

        def shoot(said: str) -> None:
            desk.page.wait_for_timeout(400)
            frames.append(screenshot(desk.page).resize((960, 540), Image.Resampling.LANCZOS))
            print(said)

        print(with_loop(desk, shoot))
        desk.page.click("#open-export")
        shoot("Export")
    frames[0].save(
        out, save_all=True, append_images=frames[1:], duration=1800, loop=0, quality=70, method=6
    )
    print(out, len(frames), "frames,", out.stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main()
