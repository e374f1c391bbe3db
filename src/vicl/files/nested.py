"""Settings as nested sections, and laid flat to be compared key by key."""

from __future__ import annotations

from typing import Any


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Lay nested mappings flat: `{"a": {"b": 1}}` becomes `{"a.b": 1}`.

    An empty mapping vanishes.

    Args:
        value: Mappings, by words, of mappings and other values.
        prefix: What stands before all keys.
    """
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= flatten(part, f"{prefix}.{key}" if prefix else str(key))
    return flat
