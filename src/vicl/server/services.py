"""What the routes share: the project, its worker, and those who know how to ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from vicl.server.answering import Answering, Device
from vicl.server.candidates import Clicking
from vicl.server.events import Events
from vicl.server.project import Project
from vicl.server.worker import Worker


@dataclass
class Services:
    """All of them, over one project; :meth:`end` when it is done with.

    Attributes:
        project: On the disk.
        device: Where models run.
    """

    project: Project
    device: Device = "auto"
    worker: Worker = field(default_factory=Worker)
    events: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.answering = Answering(self.project, self.worker, self.events, device=self.device)
        self.clicking = Clicking(self.answering, device=self.device)

    def end(self) -> None:
        """End the worker and all streams, and close the project."""
        self.answering.cancel()
        self.events.end()
        self.worker.end()
        self.project.close()


def _of_request(request: Request) -> Services:
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


Use = Annotated[Services, Depends(_of_request)]
"""The services of the app that a route runs in."""
