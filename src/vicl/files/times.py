"""Times as people type them."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float | None:
    """The seconds of a time such as 90s, 10m or 2h, above 0; None where it is none."""
    found = re.fullmatch(r"([0-9]{1,6})(s|m|h)", text.strip())
    return None if not found or not int(found[1]) else int(found[1]) * _UNITS[found[2]]
