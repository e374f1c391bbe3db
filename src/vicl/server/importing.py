"""What others made, brought in: prompt files, sample sets, annotations and masks."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from PIL import Image

from vicl.exports.reading import is_annotation_file, read_shapes
from vicl.exports.shapes import Painted, paint
from vicl.files.packaged import PHOTOS
from vicl.images import DEFAULT_LIMIT_PIXELS, to_pil, to_tensor
from vicl.prompting.annotated import as_named
from vicl.prompting.prompt_file import PromptFileError, SavedPrompt, has_pool, load_prompt
from vicl.server.engines import OWN
from vicl.server.marks import UNKNOWN, Marks
from vicl.server.names import safe_name
from vicl.server.problems import Refusal
from vicl.server.project import Project, png
from vicl.server.prompts import MARKED, as_ids, boxes_as_ids
from vicl.server.schemas import AnswerFacts, MarkClass, MarkedBox, SampleSet, Step, Stroke
from vicl.server.services import Services
from vicl.server.states import TASKS
from vicl.server.worker import Urgency
from vicl.tasks.boxes import Box
from vicl.tasks.classes import Classes
from vicl.tasks.detection import DetectionTask
from vicl.tasks.masks import read_labels
from vicl.tasks.palette import palette
from vicl.tasks.segmentation import UNKNOWN as UNKNOWN_GRAY
from vicl.tasks.segmentation import SegmentationTask
from vicl.tasks.task import MarkedTask

_SUFFIX: Final = ".vicl"
_IMPORTED: Final = AnswerFacts(prompt_revision="imported", seconds=0, engine="imported")
_Kind: TypeAlias = Literal["examples", "answers"]


def open_prompt(services: Services, name: str, data: bytes) -> list[str]:
    """Make a prompt file's examples images of the project; gives their ids.

    Raises:
        vicl.prompting.prompt_file.PromptFileError: If it cannot be used.
        Refusal: If its task is none of the app's.
    """
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{Path(safe_name(name)).stem}{_SUFFIX}"
        path.write_bytes(data)
        try:
            if has_pool(path):
                raise Refusal(
                    422,
                    f"{path.name}: chooses examples from a pool, which projects do not keep. Use "
                    "it by vicl predict --prompt.",
                )
            saved, engine = services.answering.run(Urgency.ASKED, lambda: _loaded(services, path))
        except ValueError as error:
            raise Refusal(422, str(error).replace(str(path), path.name)) from error
    task = saved.task
    if task.name not in TASKS or (isinstance(task, SegmentationTask) and task.palette):
        raise Refusal(422, f"{path.name}: is a prompt of a kind that the app has no tools for.")
    if saved.learned is not None:
        raise Refusal(
            422,
            f"{path.name}: has a learned border or task vectors, which projects do not keep. Use "
            "it by vicl predict --prompt.",
        )
    project = services.project
    with project.lock:
        changes: dict[str, object] = {
            "task": task.name,
            "engine": engine,
            "settings": saved.settings.model_dump(mode="json", exclude_defaults=True),
        }
        if isinstance(task, MarkedTask):
            changes["classes"] = named_classes(project, task.classes)
        project.change(**changes)
        found = []
        for number, first in enumerate(saved.passes[0], start=1):
            picture = png(to_pil(to_tensor(first.input)))
            image = project.add_upload(f"{path.stem}-{number}.png", picture)
            outputs = [drawn[number - 1].output for drawn in saved.passes]
            if isinstance(task, SegmentationTask):
                mark_whole(project, image, _ids(project, task.classes, outputs))
            elif isinstance(task, DetectionTask):
                drawn_boxes = replace(task, boxes="all").read([to_tensor(one) for one in outputs])
                mark_boxes(project, image, task.classes, drawn_boxes.boxes)
            else:
                project.keep_output(image, png(to_pil(to_tensor(outputs[0]))))
            project.set_status(image, example=True)
            found.append(image)
    return found


def _loaded(services: Services, path: Path) -> tuple[SavedPrompt, str]:
    """A prompt file with its engine: one of the package's, or the project's if it was made by it.

    Raises:
        ValueError: If it cannot be used.
    """
    chosen = services.project.file.engine
    try:
        saved = load_prompt(path, device=services.device)
    except PromptFileError:
        if chosen is None or chosen in OWN or services.engines.asks() is not None:
            raise
        return load_prompt(path, model=services.engines.get(chosen)), chosen
    return saved, saved.engine.name


def sample_sets() -> tuple[SampleSet, ...]:
    """The sets of photographs that come with the package."""
    return tuple(
        SampleSet(
            name=Path(entry["example"][0]).stem,
            title=entry["title"],
            task=entry["task"],
            images=1 + len(entry["queries"]),
        )
        for entry in _demo()
        if entry["task"] in TASKS
    )


def use_samples(services: Services, name: str) -> list[str]:
    """Put a sample set into the project, its example marked; gives the images' ids.

    Raises:
        Refusal: If there is none of the name.
    """
    wanted = [
        entry
        for entry in _demo()
        if Path(entry["example"][0]).stem == name and entry["task"] in TASKS
    ]
    if not wanted:
        names = ", ".join(one.name for one in sample_sets())
        raise Refusal(404, f"There is no sample set {name[:40]!r}; there are {names}.")
    entry, project = wanted[0], services.project
    with project.lock:
        project.change(task=entry["task"], engine=None, settings={})
        pictures = [entry["example"][0], *entry["queries"]]
        found = [project.add_upload(one, (PHOTOS / one).read_bytes()) for one in pictures]
        output = PHOTOS / entry["example"][1]
        if entry["task"] == "segmentation":
            labels = read_labels(output, Classes.parse(None))
            mark_whole(project, found[0], as_ids(project.class_ids()[:1], labels.labels))
        else:
            project.keep_output(found[0], output.read_bytes())
        project.set_status(found[0], example=True)
    return found


def import_files(
    services: Services, files: Sequence[tuple[str, bytes]], *, kind: _Kind
) -> tuple[list[str], list[str]]:
    """Take annotations of images of the project, as examples or as answers to correct.

    A LabelMe, YOLO or VOC file and a mask belong to the image of their name; of a COCO file each
    image that it lists is taken. For detection the files' boxes are taken, and no masks.

    Returns:
        Ids of the images, and what was left out, with why.
    """
    project = services.project
    if project.file.task not in MARKED:
        raise Refusal(
            409, "Annotations are masks or boxes; choose the task segmentation or detection first."
        )
    keep = _keep_boxes if project.file.task == "detection" else _keep_marks
    taken: list[str] = []
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as place, project.lock:
        for number, (name, data) in enumerate(files):
            safe = safe_name(name)
            path = Path(place) / str(number) / safe
            path.parent.mkdir()
            path.write_bytes(data)
            images = _meant(project, path)
            if not images:
                left_out.append(f"{safe}: is of no image of this project, by its name")
            for image in images:
                try:
                    keep(project, path, image, kind)
                except (Refusal, ValueError) as error:
                    said = str(error).replace(str(path.parent) + "/", "")
                    # Of a COCO file most images of a project may not be listed.
                    if len(images) == 1:
                        left_out.append(said)
                    continue
                taken.append(image)
            if images and not taken and len(images) > 1:
                left_out.append(f"{safe}: lists none of this project's images, by their names")
    return taken, left_out


def mark_whole(project: Project, image: str, marks: Marks) -> None:
    """Make marks of a whole image those that are given, as one edit; the same ones add none."""
    edits = project.edits(image)
    if np.array_equal(edits.marks, marks):
        return
    if (edits.marks != UNKNOWN).any():
        height, width = project.size(image)
        corners = ((0.0, 0.0), (float(width), float(height)))
        edits.apply(Stroke(tool="box", points=corners, class_=None))
    held = base64.b64encode(png(Image.fromarray(marks))).decode()
    edits.apply(Stroke(tool="answer", class_=None, png=held))


def mark_boxes(project: Project, image: str, names: Sequence[str], boxes: Sequence[Box]) -> None:
    """Make the boxes of an image those that are given; the same ones add no edit."""
    ids = {one.name: one.id for one in project.file.classes}
    found = tuple(MarkedBox(class_=ids[names[one.label - 1]], box=one.box) for one in boxes)
    edits = project.edits(image)
    if edits.boxes() == found:
        return
    if edits.boxes():
        edits.apply(Step(op="clear"))
    edits.apply(Stroke(tool="answer", class_=None, boxes=found))


def named_classes(project: Project, names: Sequence[str]) -> tuple[MarkClass, ...]:
    """The project's classes with those that are named: alone, where none is of use yet."""
    old = project.file.classes
    used = any(
        entry.broken is None and (project.is_marked(image) or project.facts(image) is not None)
        for image, entry in project.images.items()
    )
    kept = list(old) if used else [one for one in old if one.name in names]
    if not used:
        kept.sort(key=lambda one: list(names).index(one.name))
    known, ids = {one.name for one in kept}, {one.id for one in kept}
    free = iter([number for number in range(1, 255) if number not in ids])
    for name in names:
        if name not in known:
            number = next(free, None)
            if number is None:
                raise Refusal(422, "There are more than 254 classes.")
            key = str(number) if number < 10 else ""
            colour = palette(number)[number - 1]
            kept.append(MarkClass(id=number, name=name, colour=colour, key=key))
    return tuple(kept if used else sorted(kept, key=lambda one: list(names).index(one.name)))


def _demo() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((PHOTOS / "demo.json").read_text())
    return found


def _ids(project: Project, names: Sequence[str], outputs: Sequence[object]) -> Marks:
    """An example's outputs, one a class, as marks."""
    by_name = {one.name: one.id for one in project.file.classes}
    marks: Marks | None = None
    for name, output in zip(names, outputs, strict=True):
        gray = np.asarray(to_pil(to_tensor(output)).convert("L"))  # type: ignore[arg-type]
        if marks is None:
            marks = np.where(gray == UNKNOWN_GRAY, UNKNOWN, 0).astype(np.uint8)
        marks[gray > UNKNOWN_GRAY] = by_name[name]
    assert marks is not None
    return marks


def _meant(project: Project, path: Path) -> list[str]:
    """The images that a file may be of."""
    whole = [image for image, entry in project.images.items() if entry.broken is None]
    stem = path.stem
    named = [i for i in whole if Path(safe_name(project.images[i].name)).stem == stem]
    is_coco = path.suffix.lower() == ".json" and b'"annotations"' in path.read_bytes()
    return whole if is_coco and not named else named


def _painted(project: Project, path: Path, image: str) -> Painted:
    """What a file of annotations says of an image; classes that are new join the project's."""
    own = Classes.parse([one.name for one in project.file.classes])
    shapes = as_named(read_shapes(path, Path(project.entry(image).name)), own)
    found = list(dict.fromkeys(s.name for s in shapes.shapes if s.name is not None))
    classes = named_classes(project, found)
    if classes != project.file.classes:
        project.change(classes=classes)
    names = [one.name for one in classes]
    return paint(shapes, project.size(image), names, limit_pixels=DEFAULT_LIMIT_PIXELS)


def _keep_marks(project: Project, path: Path, image: str, kind: _Kind) -> None:
    size = project.size(image)
    if is_annotation_file(path):
        painted = _painted(project, path, image)
        marks = as_ids(project.class_ids(), painted.labels)
    else:
        names = [one.name for one in project.file.classes]
        labels = read_labels(path, Classes.parse(names if len(names) > 1 else None))
        ids = as_ids(project.class_ids(), labels.labels)
        marks = np.where(labels.void, UNKNOWN, ids).astype(np.uint8)
    if marks.shape != size:
        raise Refusal(
            422, f"{path.name}: is {marks.shape[1]}x{marks.shape[0]}, not {size[1]}x{size[0]}"
        )
    if kind == "examples":
        mark_whole(project, image, marks)
        project.set_status(image, example=True)
        return
    ground = np.where(marks == UNKNOWN, 0, marks).astype(np.uint8)
    project.keep_answer(image, _IMPORTED, png(Image.fromarray(ground)), None)


def _keep_boxes(project: Project, path: Path, image: str, kind: _Kind) -> None:
    if not is_annotation_file(path):
        raise Refusal(
            422,
            f"{path.name}: is a mask, but the task detection takes boxes: a COCO, YOLO, LabelMe or "
            "VOC file",
        )
    boxes = _painted(project, path, image).boxes
    if kind == "examples":
        mark_boxes(project, image, [one.name for one in project.file.classes], boxes)
        # An image without boxes says that nothing is there.
        project.set_status(image, example=True, status="open" if boxes else "nothing")
        return
    ids = project.class_ids()
    found = tuple(MarkedBox(class_=ids[one.label - 1], box=one.box) for one in boxes)
    drawn = boxes_as_ids(found, project.size(image))
    facts = _IMPORTED.model_copy(update={"boxes": found, "objects": len(found)})
    project.keep_answer(image, facts, png(Image.fromarray(drawn)), None)
