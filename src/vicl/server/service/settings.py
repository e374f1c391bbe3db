"""What a service is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vicl.images import DEFAULT_LIMIT_PIXELS
from vicl.models.devices import Device


@dataclass(frozen=True)
class ServiceSettings:
    """What a service answers, for whom, and how much; it can be pickled for a worker process.

    Attributes:
        prompts: Prompt files; each is called by its name without the ending.
        model: The engine of examples that requests bring, and of prompt files that were made with
            one that does not come with the package; None is the one that measured best for masks.
        device: Where engines run.
        examples: Whether requests may bring examples of their own.
        at_once: Most queries that go through an engine together.
        wait: Seconds that a query waits for others of its prompt.
        queue: Most queries that wait in this process; more are refused at once.
        deadline: Seconds after which a request is given up.
        body_bytes: Of a request.
        body_seconds: Within which a body has come.
        limit_pixels: Of a picture.
        files: In a request.
        kept: Sets of examples of requests that are kept ready.
        keys: Whoever shows one is answered; none: everybody.
        hosts: Names by which the service is called, beside those of this machine.
        jobs: Where jobs are kept; None takes none. Several processes share it.
        jobs_count: Most jobs that are kept, of all keys.
        jobs_bytes: Most bytes that they hold.
        jobs_seconds: After which a job that has ended is deleted.
        pool: Where the pool of a prompt file is that does not lie below the file's own folder.
        media: Where images lie that labelling programs name by a path; None opens none.
    """

    prompts: tuple[Path, ...] = ()
    model: str | None = None
    device: Device = "auto"
    examples: bool = True
    at_once: int = 8
    wait: float = 0.005
    queue: int = 64
    deadline: float = 60.0
    body_bytes: int = 64 << 20
    body_seconds: float = 30.0
    limit_pixels: int = DEFAULT_LIMIT_PIXELS
    files: int = 32
    kept: int = 8
    keys: tuple[str, ...] = field(default=(), repr=False)
    hosts: tuple[str, ...] = ()
    jobs: Path | None = None
    jobs_count: int = 100
    jobs_bytes: int = 8 << 30
    jobs_seconds: float = 72 * 3600.0
    pool: Path | None = None
    media: Path | None = None
