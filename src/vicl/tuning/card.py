"""The card of a saved prompt: what it is, how it was learned, and what it scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from vicl.files import display
from vicl.tuning.fitting import Fitted
from vicl.tuning.protocols import BaseToNew
from vicl.tuning.scores import Scored, cell
from vicl.tuning.search import Trial
from vicl.tuning.settings import TuneSettings

_CLASSES = 50
_BROKEN = 5


def card_of(
    described: Mapping[str, Any],
    settings: TuneSettings,
    fitted: Fitted,
    scored: Scored,
    new: Scored | None,
    trials: Sequence[Trial],
    broken: Sequence[str],
    notes: Sequence[str],
) -> str:
    """The `README.md` of a saved prompt.

    Args:
        described: What was asked for.
        settings: Of the run, as a search left them.
        fitted: The run.
        scored: On the test images.
        new: On those of classes that were not learned.
        trials: Of a search.
        broken: Images that could not be read.
        notes: Of the data.
    """
    train, val, test = described["images"]
    hashed = described["backbone_hash"]
    classes = ", ".join(cell(name) for name in scored.classes[:_CLASSES])
    more = len(scored.classes) - _CLASSES
    accuracy = f"- Accuracy on {scored.accuracy.n} test images: {scored.accuracy} (95% interval)"
    new_classes = []
    if new is not None:
        both = BaseToNew(scored.accuracy.mean, new.accuracy.mean)
        new_classes = [
            f"- Accuracy on {new.accuracy.n} test images of {len(new.classes)} classes that were "
            f"not learned, among those: {new.accuracy}; harmonic mean of both: {both.harmonic:.3f}"
        ]
    lines = [
        "---",
        "library_name: vicl",
        "---",
        f"# {described['method']} on {cell(described['backbone'])}",
        "",
        "A learned prompt for vicl: what was learned beside a frozen backbone. Use it:",
        "`vicl classify PHOTOS --prompt FOLDER`, or `vicl.classify(image, FOLDER)`.",
        "",
        accuracy,
        *new_classes,
        f"- Mean per-class accuracy: {scored.balanced}; expected calibration error: "
        f"{scored.calibration}",
        f"- Classes ({len(scored.classes)}): {classes}{f' and {more} more' if more > 0 else ''}",
        f"- Backbone: {cell(described['backbone'])}, "
        + ("weights of no file" if hashed is None else f"SHA-256 of its weights {hashed}"),
        f"- Learned: {fitted.learned:,} numbers, in {fitted.epochs:.0f} epochs and "
        f"{fitted.seconds:.0f} seconds",
        f"- Images: {train} to learn from, {val} to validate on, {test} to test on",
        *(f"- {display(note)}" for note in notes),
    ]
    if fitted.val is not None:
        figures, softened = fitted.val.figures, ""
        if fitted.learned:
            degrees = fitted.classifier.temperature
            softened = f"; scores are softened by a temperature of {degrees:g}, fitted there"
        lines.append(
            f"- In validation: accuracy {figures['accuracy']:.3f}, "
            f"Brier score {figures['loss']:.3f}{softened}"
        )
    if broken:
        first = "; ".join(display(line)[:200] for line in broken[:_BROKEN])
        lines.append(f"- {len(broken)} images could not be read and were left out: {first}")
    if trials:
        lines += ["", "Learning rate and weight decay were sought on the validation images:", ""]
        lines += ["| lr | weight decay | accuracy | epochs | seconds |", "|---|---|---|---|---|"]
        for one in trials:
            told = "no finite loss" if one.accuracy is None else f"{one.accuracy:.3f}"
            lines.append(
                f"| {one.lr:g} | {one.weight_decay:g} | {told} | {one.epochs:.0f} | "
                f"{one.seconds:.0f} |"
            )
    said = dict(described) | {"settings": settings.model_dump(mode="json")}
    said.pop("classes")
    text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True).rstrip()
    return "\n".join([*lines, "", "```yaml", text, "```", ""])
