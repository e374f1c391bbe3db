"""The project and its images as the API tells of them."""

from __future__ import annotations

from typing import Final, get_args

from vicl.server.engines import Engines
from vicl.server.project import Project
from vicl.server.prompts import PromptState, answer_key, prompt_state
from vicl.server.records import VERSION
from vicl.server.schemas import Counts, Item, ProjectState, Task

TASKS: Final[tuple[Task, ...]] = get_args(Task)


def project_state(project: Project, engines: Engines) -> ProjectState:
    """The project as a whole."""
    with project.lock:
        file, state = project.file, prompt_state(project)
        return ProjectState(
            version=VERSION,
            revision=file.revision,
            folder="" if project.folder is None else str(project.folder),
            place=str(project.place),
            task=file.task,
            tasks=TASKS,
            engine=file.engine,
            engines=engines.listed(),
            asks=engines.asks(),
            classes=file.classes,
            settings=file.settings,
            counts=_counts(project, state),
            prompt=None if state is None else state.key,
        )


def item(project: Project, image: str, state: PromptState | None) -> Item:
    """An image; `state` is the project's prompt."""
    entry, status, facts = project.entry(image), project.status(image), project.facts(image)
    marked = entry.broken is None and project.is_marked(image)
    return Item(
        id=image,
        name=entry.name,
        width=entry.width,
        height=entry.height,
        bytes=entry.bytes,
        broken=entry.broken,
        revision=status.revision,
        status=status.status,
        example=status.example,
        marked=marked,
        output=project.has_output(image),
        hinted=entry.broken is None and project.is_hinted(image),
        confidence=None if facts is None else facts.confidence,
        presence=None if facts is None else facts.presence,
        answer_revision=None if facts is None else facts.prompt_revision,
        stale=facts is not None and facts.prompt_revision != answer_key(project, image, state),
    )


def _counts(project: Project, state: PromptState | None) -> Counts:
    counts = Counts(images=len(project.images), examples=len(state.examples) if state else 0)
    for image, entry in project.images.items():
        if entry.broken is not None:
            counts.broken += 1
            continue
        counts.marked += project.is_marked(image)
        counts.answered += project.facts(image) is not None
        status = project.status(image).status
        if status != "open":
            setattr(counts, status, getattr(counts, status) + 1)
    return counts
