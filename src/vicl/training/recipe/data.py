"""The data of a recipe: where images come from, which are held out, and how they are cropped."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, field_validator, model_validator

from vicl.files import FileError
from vicl.training.settings import Many, Part


class RecipeError(FileError):
    """A recipe that cannot be used; the message names each key, its value and what is allowed."""


class FolderSource(Part):
    """Images in a folder and its subfolders.

    Attributes:
        path: The folder; relative to where the command runs.
        weight: Share of the mixture, in proportion to the others' weights.
    """

    kind: Literal["folder"] = "folder"
    path: str
    weight: PositiveFloat = 1.0


class ShardSource(Part):
    """WebDataset tar shards, on disk or by URL.

    Attributes:
        urls: A path, or a URL of http or https; `{000..099}` stands for a hundred.
        samples: How many images they hold, where epochs are counted.
        codes: Train on the crops and codes that stand beside the images, as `vicl figures tokenize`
            stores them, in place of crops that are drawn and named at every step.
        weight: As for a folder.
    """

    kind: Literal["shards"] = "shards"
    urls: str
    samples: Many | None = None
    codes: bool = False
    weight: PositiveFloat = 1.0

    @field_validator("urls")
    @classmethod
    def _check(cls, urls: str) -> str:
        # Readers of shards take "pipe:" for a command to run, and further schemes for more of them.
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", urls)
        if scheme and not re.match("https?://", urls):
            raise ValueError(
                f"got {urls[:60]!r}, expected a path or a URL that begins with http:// or https://"
            )
        return urls


class DatasetSource(Part):
    """An `IterableDataset` that the caller of :func:`vicl.training.train.train` gives by name.

    Attributes:
        name: Of the dataset.
        weight: As for a folder.
    """

    kind: Literal["dataset"] = "dataset"
    name: str
    weight: PositiveFloat = 1.0


class FiguresSource(Part):
    """Synthetic figures without end; see `vicl.figures.synthetic.generator.SyntheticFigures`.

    Their size is the canvas', their patches are the model's, and a grid says where its answer
    stands (see :class:`vicl.training.masking.AnswerCell`).  Those that are trained on follow from
    the run's seed; those that are held out are others.

    Attributes, beside those of the figures (folders are relative to where the command runs):
        mixture: Empty for the mixture for training.
        families: None for those for training.
        weight: As for a folder.
    """

    kind: Literal["figures"] = "figures"
    clean: float = Field(default=0.6, ge=0, le=1)
    layouts: Literal["any", "published"] = "any"
    mixture: dict[str, PositiveFloat] = Field(default={})
    families: tuple[str, ...] | None = None
    cutouts: str | None = None
    photographs: str | None = None
    masks: str | None = None
    fonts: str | None = None
    weight: PositiveFloat = 1.0


class PhotoSource(Part):
    """The photographs that come with the package: enough to see that training runs.

    Attributes:
        weight: As for a folder.
    """

    kind: Literal["photos"] = "photos"
    weight: PositiveFloat = 1.0


def _from_text(value: Any) -> Any:
    """A path alone is a folder, or shards where it names tar files."""
    if isinstance(value, str):
        shards = re.search(r"\.(tar(\.gz)?|tgz)(\?.*)?$", value)
        return {"kind": "shards", "urls": value} if shards else {"kind": "folder", "path": value}
    return value


AnySource = Annotated[
    Annotated[
        FolderSource | ShardSource | DatasetSource | FiguresSource | PhotoSource,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_from_text),
]


def as_several(value: Any) -> Any:
    """One thing where several may stand."""
    return value if isinstance(value, list | tuple) else [value]


Sources = Annotated[tuple[AnySource, ...], BeforeValidator(as_several)]


class HeldOut(Part):
    """Images that training never sees.

    Attributes:
        fraction: Share of each folder of `data.train` that is held out; chosen by the names of
            the images, so that adding some leaves the others where they are.
        group: A regular expression; images whose names (below their folder) have the same match
            of it are held out together, such as the frames of one video.
        sources: Held out instead of a fraction.
        count: At most so many of them are looked at in an evaluation.
    """

    fraction: float = Field(default=0.0, ge=0, lt=1)
    group: str | None = Field(default=None, max_length=200)
    sources: Sources = ()
    count: Many = 64

    @model_validator(mode="after")
    def _check(self) -> HeldOut:
        if self.fraction and self.sources:
            raise ValueError("sources: give a fraction or sources, not both")
        if self.group is not None and not self.fraction:
            raise ValueError("group: says how a fraction is chosen; give a fraction too")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise ValueError(
                f"group: got {self.group!r}, expected a regular expression ({error})"
            ) from error
        return self


class Augmentation(Part):
    """Random resized crop (bicubic) and horizontal flip; the defaults are the paper's.

    Attributes:
        scale: Least and greatest share of the image's area that a crop covers.
        ratio: Least and greatest width : height of a crop.
        flip: Mirror half of the images.
    """

    scale: tuple[PositiveFloat, PositiveFloat] = (0.2, 1.0)
    ratio: tuple[PositiveFloat, PositiveFloat] = (3 / 4, 4 / 3)
    flip: bool = True

    @model_validator(mode="after")
    def _check(self) -> Augmentation:
        if not self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale: got {self.scale}, expected least <= greatest <= 1")
        if not self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio: got {self.ratio}, expected least <= greatest")
        return self


class Data(Part):
    """What is trained on.

    Attributes:
        train: Where images come from; several are mixed by their weights.
        held_out: What training never sees.
        augmentation: Of the training images.
        workers: Processes that read images; 0 reads them in the training process.
        prefetch: Batches that each worker keeps ready.
    """

    train: Annotated[Sources, Field(min_length=1)]
    held_out: HeldOut = HeldOut()
    augmentation: Augmentation = Augmentation()
    workers: int = Field(default=4, ge=0, le=256)
    prefetch: int = Field(default=2, ge=1, le=256)

    @model_validator(mode="after")
    def _check(self) -> Data:
        listed = any(isinstance(source, FolderSource | PhotoSource) for source in self.train)
        if self.held_out.fraction and not listed:
            raise ValueError(
                f"held_out.fraction: got {self.held_out.fraction} without a folder in train; "
                "give held_out.sources"
            )
        if self.named and not all(_named(source) for source in self.train):
            raise ValueError(
                "train: got sources with codes and others without; give all of them `codes: true`, "
                "or none"
            )
        if any(_named(source) for source in self.held_out.sources):
            raise ValueError(
                "held_out.sources: got codes, of which an evaluation takes none; leave it out"
            )
        return self

    @property
    def named(self) -> bool:
        """Whether the targets are named beforehand."""
        return any(_named(source) for source in self.train)


def _named(source: AnySource) -> bool:
    return isinstance(source, ShardSource) and source.codes
