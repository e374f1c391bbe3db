"""What the routes share: the project, its worker, and those who know how to ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from vicl.models.devices import Device
from vicl.server.answering import Answering
from vicl.server.candidates import Clicking
from vicl.server.engines import Engines
from vicl.server.events import Events
from vicl.server.project import Project
from vicl.server.scoring import Scoring
from vicl.server.trying import Trying
from vicl.server.worker import Urgency, Worker


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
        self.engines = Engines(self.project, device=self.device)
        self.answering = Answering(self.project, self.worker, self.events, self.engines)
        self.scoring = Scoring(self.answering)
        self.trying = Trying(self.answering)
        self.clicking = Clicking(self.answering, device=self.device)

    def warm(self) -> None:
        """Load what answers and what clicks ask, before the first stroke needs them."""
        self.worker.submit(Urgency.LATER, self.answering.warm)
        self.worker.submit(Urgency.LATER, self.clicking.warm)

    def leave(self) -> None:
        """Have requests that wait end soon: those for the worker are refused, streams end."""
        self.answering.cancel()
        self.worker.leave()
        self.events.end()

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
