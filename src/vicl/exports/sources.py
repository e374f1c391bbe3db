"""Which image an annotation says it is of."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from vicl.files import display

log = logging.getLogger(__name__)


def warn_of_other_image(name: str, said: object, image: Path | None) -> None:
    """Log where a file names another image than the one that it is given for.

    Args:
        name: What messages call the file of annotations.
        said: The image's path in it, by any system's slashes; nothing is opened by it.
        image: The example's image; its ending may be another.
    """
    if image is None or not isinstance(said, str) or not said.strip():
        return
    stem = Path(re.split(r"[/\\]", said.strip())[-1]).stem
    if stem.lower() != image.stem.lower():
        log.warning(
            "%s: says that it is of %s, but is given for %s",
            name,
            display(said[:200]),
            display(image),
        )
