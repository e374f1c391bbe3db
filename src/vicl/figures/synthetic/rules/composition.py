"""Two rules, one after the other."""

from __future__ import annotations

from vicl.figures.synthetic.rules.rule import RULES, Change, Pair, Rule, Size, Values
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import Scene, Wish


def compose(first: str, second: str) -> Rule:
    """Join two rules; "A+B" is first A, then B.

    Either A changes the scene, and B shows what has become of it; or B is a filter of what A shows.

    Args:
        first: Name of A.
        second: Name of B.

    Raises:
        ValueError: If A is no change and B is no filter, or B does not start from the plain
            picture of a scene.
    """
    before, after = RULES[first], RULES[second]
    change, last = before.change, after.filter
    if change is not None and after.plain:

        def apply(scene: Scene, size: Size, values: Values) -> Pair:
            changed = change(scene, values["first"])
            shown = after.apply(changed, size, values["second"])
            return Pair(render(scene, size).image, shown.output)

    elif last is not None:

        def apply(scene: Scene, size: Size, values: Values) -> Pair:
            shown = before.apply(scene, size, values["first"])
            return Pair(shown.input, last(shown.output, values["second"]))

    else:
        raise ValueError(
            f"compose: got {first!r}, then {second!r}; expected a change of scenes and then a rule "
            "with a plain input, or any rule and then a filter"
        )
    drawn = before if change is None else after
    return Rule(
        name=f"{first}+{second}",
        group="composition",
        what=f"{before.what}; then: {after.what[0].lower()}{after.what[1:]}",
        draw=lambda rng: _joined(before.draw(rng), after.draw(rng)),
        wish=lambda values: both(before.wish(values["first"]), after.wish(values["second"])),
        apply=apply,
        measure=drawn.measure,
        weight=0.6,
        plain=before.plain,
        change=_chained(change, after.change),
        parts=(before, after),
    )


def _joined(first: Values, second: Values) -> Values:
    """The values of both; the colours of a mask or of lines stand where all rules have them."""
    ink: Values = {
        key: drawn[key] for drawn in (first, second) for key in ("on", "off") if key in drawn
    }
    return {**ink, "first": first, "second": second}


def _chained(first: Change | None, second: Change | None) -> Change | None:
    if first is None or second is None:
        return None
    return lambda scene, values: second(first(scene, values["first"]), values["second"])


def both(one: Wish, other: Wish) -> Wish:
    """A scene that grants two wishes.

    Raises:
        ValueError: If they contradict each other.
    """
    things = (max(one.things[0], other.things[0]), min(one.things[1], other.things[1]))
    if things[0] > things[1] or (one.attribute and other.attribute):
        raise ValueError(f"wishes: got {one} and {other}, which no scene can grant together")
    asked = one if one.attribute else other
    return Wish(
        things=things,
        attribute=asked.attribute,
        value=asked.value,
        apart=one.apart or other.apart,
        movable=one.movable or other.movable,
        shapes=one.shapes or other.shapes,
        coloured=one.coloured or other.coloured,
    )
