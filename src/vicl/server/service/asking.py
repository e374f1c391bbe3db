"""From a form to a prompt: one that was loaded, or one of the request's own examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.prompt import Example
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.settings import PromptSettings
from vicl.server.names import plainly
from vicl.server.problems import Refusal
from vicl.server.service.batcher import Prompted
from vicl.server.service.schemas import PredictFields
from vicl.server.service.service import Service, key_of
from vicl.server.service.uploads import Form, Upload, check_pictures

_FILES: Final = ("query", "example_input", "example_output")
_JSON: Final = ("settings", "example_boxes")
_DEPTH: Final = "has too many sections inside one another"
_LEAST_TILE: Final = 128
_MOST_TIMES: Final = 32
_MOST: Final = {"samples": 8, "spins": 4, "examples_per_canvas": 16}
"""Of settings that a request may bring: each multiplies the work for all who wait."""


def fields_of(form: Form) -> PredictFields:
    """The words of a form.

    Raises:
        Refusal: If one is unknown, comes twice, or cannot be.
    """
    known = PredictFields.model_fields
    for name in (*form.fields, *form.files):
        if name not in known and name not in _FILES:
            names = ", ".join((*_FILES, *known))
            raise Refusal(422, f"{name[:80]!a} is no field that is known here; there are {names}.")
    for name in form.fields:
        if name in _FILES:
            raise Refusal(422, f"{name} came without a file name; send it as a file.")
        if len(form.fields[name]) > 1:
            raise Refusal(422, f"{name} came more than once; send it once.")
    for name in form.files:
        if name not in _FILES:
            raise Refusal(422, f"{name} came as a file; send it as text.")
    given: dict[str, Any] = {name: values[0] for name, values in form.fields.items()}
    for name in _JSON:
        if name in given:
            given[name] = _parsed(name, given[name])
    try:
        return PredictFields.model_validate(given)
    except ValidationError as error:
        raise Refusal(422, said(error)) from error


def _parsed(name: str, text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise Refusal(422, f"{name}: {said(error)}") from error


def prompt_of(service: Service, form: Form, fields: PredictFields) -> Prompted:
    """The prompt that a form asks by.

    Raises:
        Refusal: If there is none, or its examples cannot be.
    """
    brought = {"example_input", "example_output"} & form.files.keys()
    own = fields.model_dump(exclude_defaults=True).keys() & {
        *("task", "classes", "palette", "boxes", "settings", "example_boxes")
    }
    if fields.prompt is not None:
        if brought or own:
            names = ", ".join(sorted(brought | own))
            raise Refusal(422, f"prompt: has examples and settings of its own; leave out {names}.")
        if fields.prompt not in service.prompts:
            there = ", ".join(service.prompts) or "none"
            raise Refusal(422, f"prompt: there is no {fields.prompt!a} here; there are: {there}.")
        return service.prompts[fields.prompt]
    if not service.settings.examples:
        raise Refusal(422, f"prompt: say by which; there are: {', '.join(service.prompts)}.")
    if not brought:
        raise Refusal(422, "Send `prompt`, or `example_input` and `example_output`.")
    return _own(service, form, fields)


def _own(service: Service, form: Form, fields: PredictFields) -> Prompted:
    inputs = form.files.get("example_input", [])
    outputs = form.files.get("example_output", [])
    boxes = fields.example_boxes
    if boxes is not None and (outputs or fields.task != "detection"):
        raise Refusal(422, "example_boxes: go with task detection, and in place of example_output.")
    if len(inputs) != len(outputs if boxes is None else boxes):
        raise Refusal(
            422,
            f"example_input, example_output: got {len(inputs)} and "
            f"{len(outputs if boxes is None else boxes)}; each example has both.",
        )
    settings = _settings(fields.settings)
    limit = service.settings.limit_pixels
    check_pictures((*inputs, *outputs), limit)
    asked = fields.model_dump(include={"task", "classes", "palette", "boxes", "example_boxes"})
    uploads = (*inputs, *outputs)
    key = key_of(asked, settings, [one.digest for one in uploads], len(inputs))

    def make(files: Sequence[Path]) -> VisualPrompter:
        count = len(inputs)
        given: Sequence[Any] = files[count:] if boxes is None else boxes
        try:
            return VisualPrompter(
                service.engines.chosen(),
                [Example(one, output) for one, output in zip(files[:count], given, strict=True)],
                fields.task or "image",
                classes=fields.classes,
                palette=fields.palette,
                boxes=fields.boxes,
                limit_pixels=limit,
                **settings,
            )
        except (ValueError, TypeError) as error:
            raise Refusal(422, _named(error, files, uploads)) from error

    return service.brought(key, [one.path for one in uploads], make)


def _named(error: Exception, files: Sequence[Path], uploads: Sequence[Upload]) -> str:
    """An error by the names that the sender knows files by."""
    text = str(error)
    for file, upload in zip(files, uploads, strict=True):
        text = plainly(ValueError(text), file, upload.name)
    return text


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Settings of a request, within what one may ask of all who wait.

    Raises:
        Refusal: If one is unknown, cannot be, or is too much.
    """
    try:
        settings = PromptSettings.of(given)
    except (TypeError, ValueError) as error:
        raise Refusal(422, f"settings: {error}") from error
    for name, most in _MOST.items():
        if (getattr(settings, name) or 0) > most:
            raise Refusal(422, f"settings: {name}: at most {most} are answered here.")
    times = settings.samples * (settings.spins or 1) ** 2 * len(settings.arrangements)
    if times > _MOST_TIMES:
        raise Refusal(
            422,
            f"settings: samples, spins, arrangements: ask {times} times, and at most "
            f"{_MOST_TIMES} are answered here.",
        )
    if isinstance(settings.tile, int) and settings.tile < _LEAST_TILE:
        raise Refusal(422, f"settings: tile: at least {_LEAST_TILE} is answered here.")
    if settings.layout is not None:
        raise Refusal(422, "settings: layout: is not taken here; save a prompt file with it.")
    return settings.given()
