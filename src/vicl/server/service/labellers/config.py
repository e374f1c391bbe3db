"""A Label Studio project's labelling interface: where its images are, and what marks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from vicl.exports.annotation import ExportError
from vicl.files.plain_xml import parse_xml
from vicl.server.problems import Refusal

Kind = Literal["BrushLabels", "PolygonLabels", "RectangleLabels"]
_LIMIT: Final = 1 << 20
_NAME: Final = "label_config"


@dataclass(frozen=True)
class Control:
    """A tag by which an image is marked.

    Attributes:
        kind: Which.
        name: Its name.
        image: The name of the image's tag.
        key: The key of a task's data under which the image is.
        labels: Its labels.
    """

    kind: Kind
    name: str
    image: str
    key: str
    labels: tuple[str, ...]

    def label_of(self, name: str, classes: Sequence[str]) -> str:
        """The label of a class: that of its name, or the only one of the only one.

        Raises:
            Refusal: If there is none.
        """
        alike = [label for label in self.labels if label.casefold() == name.casefold()]
        if name in self.labels or alike:
            return name if name in self.labels else alike[0]
        if len(self.labels) == len(classes) == 1:
            return self.labels[0]
        raise Refusal(
            422,
            f"{_NAME}: <{self.kind}> has no label {name[:80]!r}, which the prompt marks; its "
            f"classes are {', '.join(classes)[:400]}.",
        )


def control_of(text: str, *, boxes: bool, classes: Sequence[str]) -> Control:
    """What a project's images are marked by.

    Args:
        text: The labelling interface, as XML; it may be anything.
        boxes: Whether the answers are boxes; else they are masks.
        classes: Of the answers.

    Returns:
        The brush, or else the polygons, or else the rectangles; boxes are rectangles only.

    Raises:
        Refusal: If it has none that fits.
        ExportError: If it is no such interface.
    """
    if len(text) > _LIMIT:
        raise Refusal(413, f"{_NAME}: is longer than {_LIMIT >> 20} MiB.")
    root = parse_xml(text.encode(), _NAME, "labelling interface", ExportError)
    images = {
        tag.get("name", ""): tag.get("value", "")[1:]
        for tag in root.iter("Image")
        if tag.get("name") and tag.get("value", "").startswith("$")
    }
    if not images:
        raise Refusal(422, f'{_NAME}: has no <Image name="..." value="$...">; add one.')
    wanted: tuple[Kind, ...] = ("RectangleLabels",) if boxes else get_args(Kind)
    for kind in wanted:
        for tag in root.iter(kind):
            image, name = tag.get("toName", ""), tag.get("name", "")
            labels = tuple(one.get("value", "") for one in tag.iter("Label"))
            if image in images and name and any(labels):
                found = Control(kind, name, image, images[image], labels)
                for one in classes:
                    found.label_of(one, classes)
                return found
    raise Refusal(
        422,
        f"{_NAME}: has no {' or '.join(f'<{kind}>' for kind in wanted)} with a name, labels, and "
        "toName of an <Image>; add one.",
    )
