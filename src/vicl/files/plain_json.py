"""JSON of files and messages that anybody may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: If it is none (:class:`json.JSONDecodeError`), or its parts lie so deep inside
            one another that Python's own reader would give up.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("has too many sections inside one another") from None
