from __future__ import annotations

from vicl.files.nested import flatten


def test_nested_mappings_are_laid_flat_in_their_order() -> None:
    nested = {"b": {"y": [1, {"z": 2}], "x": {"w": None}}, "a": 3, "none": {}}
    flat = flatten(nested)
    assert flat == {"b.y": [1, {"z": 2}], "b.x.w": None, "a": 3}
    assert list(flat) == ["b.y", "b.x.w", "a"]
