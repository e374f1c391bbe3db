"""Episodes: which examples, which query, and the truth, the same on every machine.

Episode `i` of a kind follows from the dataset's content, the seed and `i` alone: not from how many
episodes are asked for, the order in which the manifest lists its images, or who loads them when.

The dataset is a folder with a `manifest.jsonl`, one image a line::

    {"id": "...", "image": "images/s/a.jpg", "source": "s", "width": 384, "height": 256,
     "subset": "val", "sequence": "...",
     "annotations": {"mask": {"path": "masks/s/a.png", "kind": "semantic",
                              "classes": {"dog": {"value": 3, "fraction": 0.12}}},
                     "edges": "edges/s/a.png", "edges_by_annotator": ["...", "..."]}}

A mask is a single-channel picture of class values (0 = background); an edge map a gray picture
whose brightness is the share of annotators who drew the edge.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.images import open_image, to_tensor
from vicl.prompt import Example, Prompt

CELL = 111
"""Side of the published 2×2 grid's cell, in pixels."""

FRACTION = (0.03, 0.6)
"""Least and greatest share of an image that a class fills, to be drawn for segmentation."""

MIN_IMAGES = 4
"""A class with fewer such images is left out."""

Row = Mapping[str, Any]


class DatasetError(ValueError):
    """A dataset that cannot be read; the message says what is missing and where."""


@dataclass(frozen=True)
class Episode:
    """One question with its right answer.  Paths are relative to `root`, with forward slashes.

    Attributes:
        root: Folder of the dataset; not part of the listing.
        dataset: The kind: "segmentation", "plants" or "edges".
        seed: Of the drawing.
        index: Which episode of the kind and seed.
        task: As :mod:`vicl.tasks` names it: "segmentation" or "edges".
        example_inputs: Images.
        example_outputs: Their annotations, as stored.
        query: The image asked about.
        truth: Its annotation: one mask, or one edge map per annotator.
        class_name: What is to be found; "" where the task has no class.
        value: The class in the masks; None where every non-zero pixel counts.
        extra: What else is known: "source", and for videos "sequence", "example_sequence" and
            "pair" ("within sequence" or "across sequences").
    """

    root: Path = field(repr=False, compare=False)
    dataset: str
    seed: int
    index: int
    task: str
    example_inputs: tuple[str, ...]
    example_outputs: tuple[str, ...]
    query: str
    truth: tuple[str, ...]
    class_name: str = ""
    value: int | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def load(self) -> tuple[Prompt, Bool[np.ndarray, "*annotators h w"]]:
        """Read the episode's images.

        Returns:
            The prompt, all RGB in [0, 1], each at its own size: a mask drawn white on black, an
            edge map as gray.  And the truth at the query's size: (h, w) for a mask,
            (annotators, h, w) for edges.

        Raises:
            DatasetError: If a file of the episode is not there, or sizes do not agree.
        """
        examples = tuple(
            Example(to_tensor(self._path(image)), self._draw(output))
            for image, output in zip(self.example_inputs, self.example_outputs, strict=True)
        )
        query = to_tensor(self._path(self.query))
        if self.task == "edges":
            truth = np.stack([self._read(path) > 0 for path in self.truth])
        else:
            truth = self._mask(self.truth[0])
        if truth.shape[-2:] != tuple(query.shape[-2:]):
            raise DatasetError(
                f"{self._path(self.truth[0])}: got {truth.shape[-2:]} (height, width), expected "
                f"that of its image {self.query}, {tuple(query.shape[-2:])}"
            )
        return Prompt(examples, query), truth

    def _path(self, relative: str) -> Path:
        path = self.root / relative
        if not path.is_file():
            raise DatasetError(
                f"episode {self.index} of {self.dataset}: no file {path}; the manifest names it, "
                "so the dataset's folder is incomplete"
            )
        return path

    def _read(self, relative: str) -> UInt8[np.ndarray, "h w"]:
        picture = open_image(self._path(relative))
        values = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        if values.ndim != 2 or values.dtype != np.uint8:
            raise DatasetError(
                f"{self._path(relative)}: got mode {picture.mode}, expected an 8-bit "
                "single-channel picture"
            )
        return values

    def _mask(self, relative: str) -> Bool[np.ndarray, "h w"]:
        values = self._read(relative)
        return np.asarray(values != 0 if self.value is None else values == self.value)

    def _draw(self, relative: str) -> Float[Tensor, "3 h w"]:
        if self.task == "edges":
            gray = self._read(relative).astype(np.float32) / 255
        else:
            gray = self._mask(relative).astype(np.float32)
        return torch.from_numpy(gray).expand(3, -1, -1).contiguous()


def read_manifest(root: str | Path) -> list[dict[str, Any]]:
    """Read a dataset's list of images.

    Args:
        root: Folder with a `manifest.jsonl`.

    Returns:
        One mapping an image, sorted by id.

    Raises:
        DatasetError: If there is no manifest, or a line of it is not an image.
    """
    path = Path(root) / "manifest.jsonl"
    if not path.is_file():
        raise DatasetError(
            f"no manifest.jsonl in {Path(root).absolute()}"
            f"{'' if Path(root).is_dir() else ' (no such folder)'}; expected a dataset folder "
            "with manifest.jsonl beside images/, masks/ and edges/"
        )
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}, line {number}: not JSON ({error})") from error
        missing = [name for name in ("id", "image", "source", "annotations") if name not in row]
        if missing:
            raise DatasetError(f"{path}, line {number}: no {', '.join(missing)}")
        rows.append(row)
    # Sorted, so that an episode does not depend on the order in which images were listed.
    return sorted(rows, key=lambda row: str(row["id"]))


def segmentation_episodes(
    root: str | Path, *, count: int, seed: int = 0, sources: Sequence[str] | None = None
) -> list[Episode]:
    """Draw episodes of segmenting one class: a class at random, then two of its images.

    Classes are pairs (source, name) with at least four images in which the class fills 3% to 60%,
    sorted; per episode one is drawn uniformly, then two different such images, example and query.
    Where images are frames, `extra["pair"]` says whether both come from one sequence.

    Args:
        root: The dataset's folder.
        count: How many; the first n are the same for every count.
        seed: Of the drawing, not negative.
        sources: Use these alone; by default all that have semantic masks.

    Raises:
        DatasetError: If the folder cannot be read or no class qualifies.
    """
    folder = Path(root)
    pools: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in read_manifest(folder):
        mask = row["annotations"].get("mask") or {}
        if mask.get("kind") != "semantic" or (sources is not None and row["source"] not in sources):
            continue
        for name, found in mask["classes"].items():
            if FRACTION[0] <= found["fraction"] <= FRACTION[1]:
                pools[row["source"], name].append(row)
    classes = sorted(key for key, rows in pools.items() if len(rows) >= MIN_IMAGES)
    if not classes:
        raise DatasetError(
            f"{folder / 'manifest.jsonl'}: no class with at least {MIN_IMAGES} images in which it "
            f"fills {FRACTION[0]:.0%} to {FRACTION[1]:.0%}, in "
            f"{'any source' if sources is None else 'sources ' + ', '.join(sources)}"
        )
    episodes = []
    for index in range(count):
        rng = _rng("segmentation", seed, index)
        source, name = classes[int(rng.integers(len(classes)))]
        pool = pools[source, name]
        example, query = (pool[int(i)] for i in rng.choice(len(pool), size=2, replace=False))
        value = int(query["annotations"]["mask"]["classes"][name]["value"])
        episodes.append(_episode(folder, "segmentation", seed, index, example, query, name, value))
    return episodes


def plants_episodes(root: str | Path, *, seed: int = 0, source: str = "cwfid") -> list[Episode]:
    """Draw episodes of plants against soil: every image once the query, another the example.

    Args:
        root: The dataset's folder.
        seed: Of the choice of examples, not negative.
        source: Whose masks to use; every non-zero pixel is plant.

    Raises:
        DatasetError: If the folder cannot be read, or the source has under two masks.
    """
    folder = Path(root)
    rows = [
        row
        for row in read_manifest(folder)
        if row["source"] == source and row["annotations"].get("mask")
    ]
    if len(rows) < 2:
        raise DatasetError(
            f"{folder / 'manifest.jsonl'}: {len(rows)} images of source {source!r} with a mask, "
            "expected at least 2"
        )
    episodes = []
    for index, query in enumerate(rows):
        other = int(_rng("plants", seed, index).integers(len(rows) - 1))
        example = rows[other + (other >= index)]
        episodes.append(_episode(folder, "plants", seed, index, example, query, "plant", None))
    return episodes


def edge_episodes(
    root: str | Path, *, count: int, seed: int = 0, source: str = "bsds"
) -> list[Episode]:
    """Draw episodes of edge detection, to be scored against every annotator.

    Queries are the images of subset "val" that have one map per annotator, each used once; the
    example is an image of subset "train" with the mean over its annotators.

    Args:
        root: The dataset's folder.
        count: How many; at most the number of queries.
        seed: Of the drawing, not negative.
        source: Whose edges to use.

    Raises:
        DatasetError: If the folder cannot be read, or has no such images.
        ValueError: If `count` is greater than the number of queries.
    """
    folder = Path(root)
    rows = [row for row in read_manifest(folder) if row["source"] == source]
    queries = [
        row
        for row in rows
        if row.get("subset") == "val" and row["annotations"].get("edges_by_annotator")
    ]
    examples = [
        row for row in rows if row.get("subset") == "train" and row["annotations"].get("edges")
    ]
    if not queries or not examples:
        raise DatasetError(
            f"{folder / 'manifest.jsonl'}: source {source!r} has {len(queries)} val images with "
            f"edges_by_annotator and {len(examples)} train images with edges; expected some of each"
        )
    if count > len(queries):
        raise ValueError(f"count: got {count}, expected at most {len(queries)}, one a val image")
    order = _rng("edges, order", seed, 0).permutation(len(queries))
    episodes = []
    for index in range(count):
        example = examples[int(_rng("edges", seed, index).integers(len(examples)))]
        query = queries[int(order[index])]
        episodes.append(
            Episode(
                root=folder,
                dataset="edges",
                seed=seed,
                index=index,
                task="edges",
                example_inputs=(example["image"],),
                example_outputs=(example["annotations"]["edges"],),
                query=query["image"],
                truth=tuple(query["annotations"]["edges_by_annotator"]),
                extra={"source": source},
            )
        )
    return episodes


def write_listing(episodes: Iterable[Episode]) -> str:
    """List episodes as JSON lines, without the dataset's folder."""
    lines = []
    for episode in episodes:
        values = asdict(episode)
        del values["root"]
        lines.append(json.dumps(values, ensure_ascii=False, sort_keys=True) + "\n")
    return "".join(lines)


def read_listing(text: str, root: str | Path) -> list[Episode]:
    """Read what :func:`write_listing` wrote, for the dataset in `root`.

    Raises:
        DatasetError: If a line is not an episode.
    """
    episodes = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            values = json.loads(line)
            for name in ("example_inputs", "example_outputs", "truth"):
                values[name] = tuple(values[name])
            episodes.append(Episode(root=Path(root), **values))
        except (ValueError, TypeError, KeyError) as error:
            raise DatasetError(f"listing, line {number}: not an episode ({error})") from error
    return episodes


def to_cell(mask: Bool[np.ndarray, "h w"], *, size: int = CELL) -> Bool[np.ndarray, "s s"]:
    """Bring a mask to the answer cell as published: bicubic, then the nearer of black and white.

    Args:
        mask: Of any size and aspect; it is stretched.
        size: Side of the cell, in pixels.
    """
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    cell = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(cell) >= 128


def _rng(kind: str, seed: int, index: int) -> np.random.Generator:
    # The kind goes in as a number, so that two kinds with one seed are not drawn alike.
    return np.random.default_rng([zlib.crc32(kind.encode()), seed, index])


def _episode(
    root: Path,
    dataset: str,
    seed: int,
    index: int,
    example: Row,
    query: Row,
    class_name: str,
    value: int | None,
) -> Episode:
    extra = {"source": str(query["source"])}
    if "sequence" in query and "sequence" in example:
        same = query["sequence"] == example["sequence"]
        extra["sequence"] = str(query["sequence"])
        extra["example_sequence"] = str(example["sequence"])
        extra["pair"] = "within sequence" if same else "across sequences"
    return Episode(
        root=root,
        dataset=dataset,
        seed=seed,
        index=index,
        task="segmentation",
        example_inputs=(str(example["image"]),),
        example_outputs=(str(example["annotations"]["mask"]["path"]),),
        query=str(query["image"]),
        truth=(str(query["annotations"]["mask"]["path"]),),
        class_name=class_name,
        value=value,
        extra=extra,
    )
