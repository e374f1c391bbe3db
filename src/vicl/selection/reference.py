"""A pool as a prompt file refers to it: where it is, what is in it, how examples are chosen.

A prompt file can come from a stranger, so it names nothing outside the folder that it lies in: a
pool elsewhere is named by whoever opens the file. What is found there is compared with what was
saved, file by file, before anything is chosen, encoded or loaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vicl.encoders.registry import ENCODERS
from vicl.files import display
from vicl.images import DEFAULT_LIMIT_PIXELS
from vicl.loading import load_encoder
from vicl.models.devices import Device
from vicl.selection.fixed import Fixed
from vicl.selection.index import Looking
from vicl.selection.index_folder import index_folder, index_pool, with_noted
from vicl.selection.learned import learned_index
from vicl.selection.pool import Pool, PoolError, open_pool
from vicl.selection.selectors import Nearest, Random, Selector
from vicl.tasks.palette import Colour

_FIRST: Final = 4096
_LEFT_OUT: Final = 1000
"""So many examples that all queries share, best first, and images that are left out, are named."""

_NAME = Annotated[str, Field(min_length=1, max_length=4096)]
_HASH = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_AGAIN: Final = "choose from it anew (vicl predict --pool), and save that prompt"


def _inner(path: str) -> str:
    """Refuse a path that leads out of the folder that it starts from."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or {"\0", "\\"} & {*path}:
        raise ValueError(f"got {path!r}, expected a path below the prompt file's own folder")
    return path


_PATH = Annotated[_NAME, AfterValidator(_inner)]


class PoolReference(BaseModel):
    """What a prompt file keeps of a pool and of what chooses from it.

    Attributes:
        path: From the prompt file's folder to the pool; None: the pool is elsewhere.
        index: Likewise to its index; None: it is beside the pool, or elsewhere.
        digest: SHA-256 of the images that may be shown, and of what is marked in them.
        images: How many these are.
        left_out: Names of others that would be, had they been readable.
        classes: That are asked for, with what marks them; None where nobody said.
        one: The class that everything marked is taken for; None: the annotations' own.
        select: How examples are chosen.
        examples: How many, of each class.
        seed: Of those at random.
        encoder: Of the index.
        weights_hash: Of that.
        looking: What is compared.
        head: SHA-256 of what was learned.
        first: Digests of the examples that all share, best first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: _PATH | None
    index: _PATH | None = None
    digest: _HASH
    images: int = Field(ge=1)
    left_out: tuple[_NAME, ...] = Field(default=(), max_length=_LEFT_OUT)
    classes: dict[str, int | Colour | None] | None = Field(default=None, max_length=254)
    one: str | None = Field(default=None, max_length=200)
    select: Literal["nearest", "learned", "random", "diverse", "best-of", "fixed"]
    examples: int = Field(ge=1, le=1024)
    seed: int = Field(default=0, ge=0)
    encoder: str | None = Field(default=None, max_length=400)
    weights_hash: _HASH | None = None
    looking: Looking = "whole"
    head: _HASH | None = None
    first: tuple[_HASH, ...] = Field(default=(), max_length=_FIRST)


def refer(selector: Selector, folder: Path) -> PoolReference:
    """What a prompt file is to keep, so that :func:`follow` makes the same selector of it.

    Args:
        selector: One of vicl's own.
        folder: Where the prompt file will lie.

    Raises:
        PoolError: If the pool is no folder or file, or what chooses is the caller's own.
    """
    pool = selector.pool
    if pool.source is None or not isinstance(selector, Nearest | Random | Fixed):
        raise PoolError(
            f"{pool.name}: a prompt file can refer to a pool that is a folder, a COCO file or a "
            "list, and to vicl's own ways of choosing from it; give the examples themselves"
        )
    one = pool.entries[0].name
    asked = pool.asked
    classes = None if asked is None else dict(zip(asked.names, asked.keys, strict=True))
    index = selector.index if isinstance(selector, Nearest) else None
    place = index_folder(pool.source) if index is None else index.folder
    place = place or index_folder(pool.source)
    whole = _narrowed(with_noted(open_pool(pool.source), place), classes, one)
    names, own = _names(whole), _names(pool)
    left_out = sorted(set(names) - set(own))
    if len(left_out) > _LEFT_OUT:
        raise PoolError(
            f"{pool.name}: was narrowed by {len(left_out)} images, expected at most {_LEFT_OUT}, "
            "to name them in a prompt file; list the others in a pool of their own (.csv)"
        )
    order = selector.order if isinstance(selector, Fixed) else ()
    if len(order) > _FIRST:
        raise PoolError(f"{pool.name}: got an order of {len(order)}, expected at most {_FIRST}")
    kept = _without(whole, left_out)
    if isinstance(selector, Random) and _names(kept) != own:
        raise PoolError(
            f"{pool.name}: its index has another order than its files, by which examples at random "
            "would be others; remove the index's folder, and index the pool anew"
        )
    beside = index is None or place.resolve() == index_folder(pool.source).resolve()
    return PoolReference(
        path=_path_to(pool.source, folder),
        index=None if beside else _path_to(place, folder),
        digest=_digest(kept, in_order=isinstance(selector, Random)),
        images=len(pool),
        left_out=tuple(left_out),
        classes=classes,
        one=one,
        select=selector.describe()["select"],
        examples=selector.examples,
        seed=selector.seed if isinstance(selector, Random) else 0,
        encoder=None if index is None else index.encoder.name,
        weights_hash=None if index is None else index.encoder.weights_hash,
        looking="whole" if index is None else index.looking,
        head=None if index is None else index.head_hash,
        first=tuple(entry.digest for entry in order if entry.digest is not None),
    )


def follow(
    reference: PoolReference,
    folder: Path,
    *,
    pool: str | os.PathLike[str] | None = None,
    index: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
) -> Selector:
    """Make the selector that was referred to.

    Args:
        reference: Of a prompt file.
        folder: Where that lies.
        pool: Where the pool is; None: as the file says, and then only below the folder.
        index: Likewise its index. It is made where there is none.
        device: Of the encoder.
        limit_pixels: Of images.

    Raises:
        PoolError: If the pool is gone or changed, or the file may not say where it is.
        ValueError: If the encoder cannot be loaded.
    """
    source = Path(pool) if pool is not None else _place(reference.path, folder)
    given = index if index is not None else reference.index and _place(reference.index, folder)
    place = Path(given) if given is not None else index_folder(source)
    if pool is None and index is None:
        _check_below(place, folder)
    if not source.exists():
        raise PoolError(f"{display(source)}: the pool of its examples is gone; put it there again")
    whole = open_pool(source)
    if pool is None:  # a list, or a link in a folder, may name any file
        for entry in whole.entries:
            for file in (entry.image, entry.annotation):
                if isinstance(file, Path):
                    _check_below(file, folder)
    noted = _narrowed(with_noted(whole, place), reference.classes, reference.one)
    kept = _without(noted, reference.left_out)
    digest = _digest(kept, in_order=reference.select == "random")
    if len(kept) != reference.images or digest != reference.digest:
        raise PoolError(
            f"{whole.name}: the pool was changed since the prompt was saved: has {len(kept)} "
            f"images to choose from, or other ones, expected the same {reference.images}; {_AGAIN}"
        )
    if reference.select == "random":
        return Random(kept, reference.examples, reference.seed, limit_pixels)
    if reference.encoder is None:
        by_digest = {entry.digest: entry for entry in kept.entries}
        if missing := [one for one in reference.first if one not in by_digest]:
            raise PoolError(f"{whole.name}: {len(missing)} of its examples are not in it; {_AGAIN}")
        order = tuple(by_digest[one] for one in reference.first)
        return Fixed(kept, order, reference.examples, reference.select)
    if pool is None and reference.encoder not in {row.name for row in ENCODERS}:
        raise PoolError(
            f"{whole.name}: is compared by {reference.encoder!r}, which does not come with vicl; "
            "say so by naming the pool: pool=... (command line: --pool POOL)"
        )
    encoder = load_encoder(reference.encoder, device=device)
    if encoder.weights_hash != reference.weights_hash:
        raise PoolError(f"{whole.name}: {encoder.name} has other weights than it had; {_AGAIN}")
    found, _ = index_pool(
        whole, encoder, place, looking=reference.looking, limit_pixels=limit_pixels
    )
    found = found.only(kept)
    if len(found.pool) != reference.images:
        raise PoolError(
            f"{whole.name}: {len(found.pool)} of its {reference.images} images can be read and "
            f"compared here (see --limit-pixels, and the messages above); {_AGAIN}"
        )
    if reference.select == "learned":
        found = learned_index(found, place)
        if found.head_hash != reference.head:
            raise PoolError(f"{display(place)}: something else was learned since then; {_AGAIN}")
    return Nearest(found, reference.examples)


def _narrowed(pool: Pool, classes: dict[str, int | Colour | None] | None, one: str | None) -> Pool:
    if one is not None:
        return pool.as_one(one)
    return pool.labelled if classes is None else pool.showing(classes)


def _place(path: str | None, folder: Path) -> Path:
    """Where a path of a prompt file leads: below its folder, through no link out of it."""
    if path is None:
        raise PoolError(
            "its examples come from a pool that was not below the prompt file's folder: say where "
            "it is by pool=... (command line: --pool POOL)"
        )
    found = folder / path
    _check_below(found, folder)
    return found


def _check_below(place: Path, folder: Path) -> None:
    """What a stranger's file leads to is read, and an index written: below its folder alone."""
    if not place.resolve().is_relative_to(folder.resolve()):
        raise PoolError(
            f"{display(place)}: the pool of its examples leads out of the prompt file's folder by "
            "a link or a list: say where it is by pool=... (command line: --pool POOL)"
        )


def _path_to(place: Path, folder: Path) -> str | None:
    """From a folder to a place below it; None where it is elsewhere, or no such path can be."""
    found = os.path.relpath(place.resolve(), folder.resolve()).replace(os.sep, "/")
    try:
        return None if found == "." else _inner(found)
    except ValueError:
        return None


def _names(pool: Pool) -> list[str]:
    """What images are called from the pool's own folder."""
    assert pool.source is not None
    root = pool.source if pool.source.is_dir() else pool.source.parent
    return [os.path.relpath(entry.file or "", root) for entry in pool.entries]


def _digest(pool: Pool, *, in_order: bool) -> str:
    """Of names and contents; in the order in which they are listed where it counts.

    What is marked is read anew: an index knows it by its files' sizes and times.
    """
    each = zip(_names(pool), pool.entries, strict=True)
    told = [(name, replace(one, hashes=(one.hashes[0], None)).digest or "") for name, one in each]
    told = told if in_order else sorted(told)
    return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest()


def _without(pool: Pool, names: Collection[str]) -> Pool:
    each = zip(_names(pool), pool.entries, strict=True)
    return replace(pool, entries=tuple(entry for name, entry in each if name not in names))
