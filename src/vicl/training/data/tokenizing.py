"""Naming training targets beforehand: shards again, with codes of crops beside their images.

Naming targets by a VQGAN takes more than the rest of a training step.  The crops and codes of an
image follow from its file, the tokenizer and the settings alone, whatever stands beside it and
however many processes work, so shards can be made one by one, and a run that was cut short goes on.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import tarfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import torch

from vicl.figures.arxiv.alone import alone
from vicl.figures.settings import check_own, check_settings
from vicl.figures.shards import add_member
from vicl.files import (
    FileError,
    display,
    hash_file,
    open_atomic,
    remove_leftovers,
    write_atomic,
)
from vicl.files.children import deaf, end_with_parent, heed
from vicl.files.journal import Journal
from vicl.files.plain_json import parse_json
from vicl.images import ImageError, open_bytes, to_rgb
from vicl.images.tars import Group, Member
from vicl.loading import load_tokenizer
from vicl.models.devices import Device, pick_device
from vicl.models.vqgan import VQGAN
from vicl.storage.folder import weights_hash
from vicl.training.data.augmentation import draw_crop
from vicl.training.data.named_shards import CODES, NamedBy, pack_codes
from vicl.training.data.shards import expand, read_groups
from vicl.training.objectives.inpainting import name_targets, target_tokenizer
from vicl.training.recipe.data import Augmentation
from vicl.training.seeds import Purpose, numbers
from vicl.training.settings import DTYPES, TargetPrecision

INDEX: Final = "index.json"
"""Beside the shards: how many images, and the SHA-256 of each shard."""

_SETTINGS: Final = "tokenize.json"
_JOURNAL: Final = "shards.jsonl"
_AHEAD: Final = 4
"""Images that wait for each process."""


@dataclass(frozen=True)
class Tokenized:
    """Shards with codes.

    Attributes:
        images: How many have codes.
        left_out: What was wrong with images that have not, which are not in the shards either.
        shards: Of each its file, images, faults, bytes and SHA-256, and that of what it is made of.
        urls: All of them, as a recipe names them.
    """

    images: int
    left_out: tuple[str, ...]
    shards: tuple[dict[str, Any], ...]
    urls: str

    def source(self) -> dict[str, Any]:
        """What a recipe says to train on them."""
        return {"kind": "shards", "urls": self.urls, "samples": self.images, "codes": True}


@dataclass(frozen=True)
class _Work:
    """Names the codes of an image's crops; sent to processes, which load the tokenizer."""

    tokenizer: str
    named_by: NamedBy
    crops: int
    seed: int
    device: Device

    def __call__(self, image: Member) -> bytes | ImageError:
        """Give what stands beside an image, or what is wrong with it."""
        try:
            picture = to_rgb(open_bytes(image.data, image.name))
        except ImageError as error:
            return error
        place = int.from_bytes(hashlib.sha256(image.data).digest())
        generator = numbers(self.seed, Purpose.NAMED, place)
        size, by = (picture.height, picture.width), self.named_by
        crops = [draw_crop(size, by.augmentation, generator) for _ in range(self.crops)]
        canvases = torch.stack([crop.of(picture, by.canvas_size) for crop in crops])
        tokenizer = _opened(self)
        codes = name_targets(tokenizer, canvases.to(tokenizer.device).float() / 255)
        return pack_codes(crops, codes.cpu().numpy(), by)


def tokenize(
    urls: str,
    out: Path,
    tokenizer: str,
    *,
    crops: int = 4,
    canvas_size: tuple[int, int] = (224, 224),
    augmentation: Augmentation | None = None,
    precision: TargetPrecision = "bf16",
    seed: int = 0,
    device: Device = "auto",
    workers: int = 1,
    total: Callable[[int], Callable[[int], None]] = lambda count: lambda more: None,
) -> Tokenized:
    """Write shards again, with codes of crops of each image beside it.

    Images that cannot be decoded are left out; all other files stay as they are.  A script that
    asks for several workers needs the usual `if __name__ == "__main__":`.

    Args:
        urls: The shards, on disk, as a recipe names them.
        out: A folder; made where it is missing.
        tokenizer: A VQGAN, or a model that has one, as :func:`vicl.loading.load_tokenizer` takes
            it.
        crops: Crops of each image.
        canvas_size: (height, width) of the canvases that will be trained on, in pixels.
        augmentation: By which crops are drawn; None for a recipe's defaults.
        precision: Of the arithmetic: the recipe's `target_precision`.
        seed: Of the crops.
        device: Where the tokenizer runs.
        workers: Processes; on a CPU each computes with one thread, so that its codes do not depend
            on how many there are.
        total: Told how many images there are to name; gives what is told how many more are named.

    Raises:
        ValueError: If a value is out of its range.
        FileError: If something cannot be read or written, or the folder holds shards of other
            settings, or of the same names and made of others.
    """
    if crops < 1 or workers < 1:
        raise ValueError(f"got crops={crops}, workers={workers}; expected at least 1 of each")
    named_by = _named_by(tokenizer, canvas_size, augmentation or Augmentation(), precision)
    work = _Work(tokenizer, named_by, crops, seed, device)
    pairs = [(source, out / _tar(source.name)) for source in _on_disk(urls, out)]
    with alone(out):
        remove_leftovers(out)
        check_own([target.name for _, target in pairs if target.exists()], out / _SETTINGS)
        made = {"crops": crops, "seed": seed, "named_by": named_by.model_dump(mode="json")}
        check_settings(made, out / _SETTINGS)
        with closing(Journal(out / _JOURNAL, resume=True)) as journal:
            done = _kept(journal, pairs)
            missing = [pair for pair in pairs if pair[1].name not in done]
            advance = total(sum(_count(source) for source, _ in missing))
            with _working(work, workers) as submit:
                for source, target in missing:
                    done[target.name] = _write(source, target, submit, _AHEAD * workers, advance)
                    journal.append(done[target.name])
        shards = tuple(done[target.name] for _, target in pairs)
        tokenized = Tokenized(
            images=sum(shard["images"] for shard in shards),
            left_out=tuple(fault for shard in shards for fault in shard["left_out"]),
            shards=shards,
            urls=str(out / _tar(Path(urls).name)),
        )
        index = {"format": 1, **made, **asdict(tokenized)}
        write_atomic(out / INDEX, (json.dumps(index, indent=1) + "\n").encode())
    return tokenized


def _named_by(
    source: str,
    canvas_size: tuple[int, int],
    augmentation: Augmentation,
    precision: TargetPrecision,
) -> NamedBy:
    """What the codes follow from, after a check that the canvas consists of whole codes."""
    tokenizer = load_tokenizer(source, device="cpu")
    patch = tokenizer.patch_size
    if any(side < patch or side % patch for side in canvas_size):
        raise ValueError(
            f"canvas_size: got {canvas_size}, expected multiples of {patch}, which is what a code "
            f"of {display(source)} stands for"
        )
    return NamedBy(
        tokenizer=weights_hash(tokenizer),
        codebook_size=tokenizer.codebook_size,
        patch_size=patch,
        canvas_size=canvas_size,
        augmentation=augmentation,
        precision=precision,
    )


@functools.lru_cache(1)
def _opened(work: _Work) -> VQGAN:
    loaded = load_tokenizer(work.tokenizer, device="cpu")
    return target_tokenizer(loaded, DTYPES[work.named_by.precision]).to(pick_device(work.device))


def _on_disk(urls: str, out: Path) -> list[Path]:
    """The shards, after a check that they can go to one folder."""
    if re.match("https?://", urls):
        raise FileError(f"{display(urls)}: is an address; download the shards first")
    sources = [Path(url) for url in expand(urls)]
    folder = Path(urls).parent
    if any(source.parent != folder for source in sources):
        raise FileError(f"{display(urls)}: has shards of several folders; give those of one")
    if folder.resolve() == out.resolve():
        raise FileError(f"{display(out)}: holds the shards themselves; choose another folder")
    return sources


def _tar(name: str) -> str:
    """The name of a shard without compression."""
    return re.sub(r"\.(tar\.gz|tgz)$", ".tar", name)


def _kept(journal: Journal, pairs: list[tuple[Path, Path]]) -> dict[str, dict[str, Any]]:
    """What is known of shards that are there already.

    Raises:
        FileError: If one is made of another shard than it would be now.
    """
    known = {row["file"]: row for row in map(parse_json, journal.lines)}
    kept = {}
    for source, target in pairs:
        if target.name not in known or not target.exists():
            continue
        if known[target.name]["source_sha256"] != hash_file(source):
            raise FileError(
                f"{display(target)}: is made of another {source.name} than {display(source)} is "
                "now; choose another folder, or remove what is made of the other shards"
            )
        kept[target.name] = known[target.name]
    return kept


def _count(shard: Path) -> int:
    """How many images a shard has; passes over a tar as fast as the disk gives it."""
    return sum(isinstance(g, Group) and g.shows for g in read_groups(str(shard)))


Submit = Callable[[Member], Callable[[], bytes | ImageError]]


@contextmanager
def _working(work: _Work, workers: int) -> Iterator[Submit]:
    """Give what takes an image, and gives what waits for its codes."""
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield lambda image: functools.partial(work, image)
        finally:
            torch.set_num_threads(threads)
        return
    # Started afresh, not forked: the caller may hold threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(work,)
    ) as pool:

        def submit(image: Member) -> Callable[[], bytes | ImageError]:
            with deaf():
                return pool.submit(work, image).result

        try:
            yield submit
        except BrokenProcessPool as error:
            raise FileError(
                "a process that named codes was killed, perhaps for want of memory; finished "
                "shards are kept: start again with fewer workers"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(work: _Work) -> None:
    heed(work)
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _write(
    source: Path, target: Path, submit: Submit, ahead: int, advance: Callable[[int], None]
) -> dict[str, Any]:
    """Write a shard; gives what is said of it."""
    images, left_out = 0, []
    with open_atomic(target) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for group, found in _in_order(read_groups(str(source)), submit, ahead):
            if isinstance(group, ImageError):
                left_out.append(str(group))
                continue
            advance(group.shows)
            if isinstance(found, ImageError):
                left_out.append(str(found))
                continue
            files = {name: data for name, data in group.files.items() if name != CODES}
            if found is not None:
                files[CODES] = found
                images += 1
            for extension, data in files.items():
                add_member(tar, f"{group.key}.{extension}" if extension else group.key, data)
    return {
        "file": target.name,
        "images": images,
        "left_out": left_out,
        "bytes": target.stat().st_size,
        "sha256": hash_file(target),
        "source_sha256": hash_file(source),
    }


def _in_order(
    groups: Iterable[Group | ImageError], submit: Submit, ahead: int
) -> Iterator[tuple[Group | ImageError, bytes | ImageError | None]]:
    """Groups with the codes of their images, in order; None for what has no image."""

    def ask(group: Group | ImageError) -> Callable[[], bytes | ImageError | None]:
        if isinstance(group, ImageError) or not group.shows:
            return lambda: None
        try:
            return submit(group.image())
        except ImageError as error:
            fault = error
            return lambda: fault

    waiting: deque[tuple[Group | ImageError, Callable[[], bytes | ImageError | None]]] = deque()
    for group in groups:
        waiting.append((group, ask(group)))
        if len(waiting) > ahead:
            first, result = waiting.popleft()
            yield first, result()
    for group, result in waiting:
        yield group, result()
