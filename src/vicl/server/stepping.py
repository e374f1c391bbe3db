"""An answer taken as marks."""

from __future__ import annotations

import base64

import numpy as np
from PIL import Image

from vicl.images import open_image
from vicl.server.marks import UNKNOWN, Marks
from vicl.server.problems import Refusal
from vicl.server.project import Project, png
from vicl.server.schemas import Stroke


def answer_marks(project: Project, image: str) -> Marks:
    """The last answer to an image, as ids of classes.

    Raises:
        Refusal: If there is none.
    """
    path = project.file_of(image, "answer.png")
    if not path.is_file():
        raise Refusal(409, "This image has no answer yet.")
    opened = open_image(path)
    if opened.mode != "L" or (opened.height, opened.width) != project.size(image):
        raise Refusal(409, "The answer is a picture, not a mask.")
    return np.asarray(opened)


def take_answer(project: Project, image: str, key: str) -> Stroke:
    """A stroke that gives what is unknown the values of the answer; of detection its boxes.

    Raises:
        Refusal: If there is none.
    """
    if project.file.task == "detection":
        facts = project.facts(image)
        if facts is None:
            raise Refusal(409, "This image has no answer yet.")
        known = [one for one in facts.boxes if one.class_ in project.class_ids()]
        return Stroke(tool="answer", key=key, class_=None, boxes=tuple(known))
    values = answer_marks(project, image)
    values = np.where(np.isin(values, (0, *project.class_ids())), values, UNKNOWN)
    held = base64.b64encode(png(Image.fromarray(values.astype(np.uint8)))).decode()
    return Stroke(tool="answer", key=key, class_=None, png=held)
