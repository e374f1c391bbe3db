"""Asking a classifier about labelled images of another set than it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vicl.files import display
from vicl.prompts.classifier import Classifier
from vicl.tuning.data import Labelled
from vicl.tuning.layouts import DataError, told


def labelled_for(
    classifier: Classifier, classes: Sequence[str], items: Sequence[Labelled], root: Path
) -> tuple[Classifier, list[Labelled]]:
    """The images with labels as a classifier counts them.

    Args:
        classifier: Classes are matched by name. One that reads names (`with_classes`) takes those
            of the images where it knows other ones, as for base-to-new.
        classes: Of the images.
        items: The images.
        root: Of the images, for errors.

    Returns:
        The classifier, and the images.

    Raises:
        DataError: If there is a class that it does not know.
    """
    unknown = [name for name in classes if name not in classifier.classes]
    if unknown:
        named: Any = getattr(classifier, "with_classes", None)
        if named is None:
            raise DataError(
                f"{display(root)}: has images of {told(unknown)}, which the prompt does not know; "
                f"it knows {told(list(classifier.classes))}"
            )
        classifier = named(tuple(classes)).eval()
    own = {name: place for place, name in enumerate(classifier.classes)}
    return classifier, [Labelled(item.path, own[classes[item.label]]) for item in items]
