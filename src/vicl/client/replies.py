"""What a service says: answers, jobs, and refusals."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2


class ServiceError(Exception):
    """A service that refused, or could not be reached; the message is its own sentence.

    Attributes:
        status: Of HTTP; None where there was no reply.
        retry_after: Seconds after which it may be asked again; None if it does not say.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True)
class Prediction:
    """The answer to one query.

    Attributes:
        query: The query's name.
        size: (height, width) in pixels.
        confidence: Mean, in [0, 1]; None if the engine cannot say.
        presence: How likely what the examples mark is there, in [0, 1]; likewise.
        classes: Of each its number, name, share of the pixels and mean score.
        boxes: Of each its class, corners (x0, y0, x1, y1) and score.
        rle: Of each class its pixels as COCO's run lengths, where they were asked for.
        png: The file that `vicl predict` writes, where it was asked for.
        views: Of each that was fused, where there are several, the numbers of its examples, its
            arrangement, likelihood and agreement with the answer.
        alternatives: Further answers, best first.
        raw: All that the service said.
    """

    query: str
    size: tuple[int, int]
    confidence: float | None = None
    presence: float | None = None
    classes: tuple[dict[str, Any], ...] = ()
    boxes: tuple[dict[str, Any], ...] = ()
    rle: tuple[dict[str, Any], ...] = ()
    png: bytes | None = field(default=None, repr=False)
    views: tuple[dict[str, Any], ...] = ()
    alternatives: tuple[Prediction, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Job:
    """Long work of a service, as it stands.

    Attributes:
        id: What the service calls it.
        state: `waiting`, `running`, `done`, `failed` or `cancelled`.
        total: How many images it has.
        done: How many of them are answered.
        failed: How many cannot be.
        error: What it failed of, or waits for; else None.
        failures: Images that cannot be answered, by name, and why; of a list of jobs none.
        raw: All that the service said.
    """

    id: str
    state: str
    total: int
    done: int
    failed: int
    error: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Whether it will not go on."""
        return self.state not in ("waiting", "running")


def until_of(timeout: float | None) -> float:
    """When so many seconds are over, by the clock that only goes on; None: never."""
    return float("inf") if timeout is None else time.monotonic() + timeout


def pause_of(job: Job, every: float, until: float) -> float:
    """Seconds until a job is asked about again.

    Raises:
        TimeoutError: If the time is over.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError(
            f"job {job.id}: {job.done} of {job.total} images are answered, and the time is up; "
            "it goes on: wait again, or cancel it"
        )
    return min(every, left)


@contextmanager
def arriving(out: Path) -> Iterator[IO[bytes]]:
    """A file that has its name once it is whole.

    Raises:
        OSError: If it cannot be written.
    """
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def read_reply(reply: httpx2.Response) -> Any:
    """What a reply says in JSON; None of one without content.

    Raises:
        ServiceError: If the service refused, or it is none of vicl's.
    """
    try:
        said = reply.json()
    except (ValueError, RecursionError):
        said = None
    if reply.is_success and (isinstance(said, dict) or reply.status_code == 204):
        return said
    detail = said.get("detail") if isinstance(said, dict) else None
    wait = reply.headers.get("retry-after", "")
    raise ServiceError(
        str(detail or f"the reply is none of vicl serve's (status {reply.status_code})"),
        reply.status_code,
        float(wait) if wait.isdecimal() else None,
    )


def unreached(url: str, error: Exception) -> ServiceError:
    """For a service that does not reply."""
    return ServiceError(f"{url}: no reply ({type(error).__name__}: {error}); is it running?")


def list_of(said: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list that a reply has; raises as :func:`read_reply`."""
    if not isinstance(said.get(name), list):
        raise ServiceError(f"the reply has no {name}: it is none of vicl serve's")
    return list(said[name])


def predictions_of(said: Mapping[str, Any]) -> list[Prediction]:
    """The answers of a reply; raises as :func:`read_reply`."""
    return [_prediction(one) for one in list_of(said, "answers")]


def _prediction(said: Mapping[str, Any]) -> Prediction:
    try:
        png = said.get("png")
        height, width = said["size"]
        return Prediction(
            query=said["query"],
            size=(height, width),
            confidence=said.get("confidence"),
            presence=said.get("presence"),
            classes=tuple(said.get("classes", ())),
            boxes=tuple(said.get("boxes", ())),
            rle=tuple(said.get("rle", ())),
            png=None if png is None else base64.b64decode(png, validate=True),
            views=tuple(said.get("views", ())),
            alternatives=tuple(_prediction(one) for one in said.get("alternatives", ())),
            raw=said,
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ServiceError(f"the reply is none of vicl serve's ({error})") from error


def job_of(said: Mapping[str, Any]) -> Job:
    """The job that a reply tells of; raises as :func:`read_reply`."""
    try:
        return Job(
            **{name: said[name] for name in ("id", "state", "total", "done", "failed", "error")},
            failures={one["name"]: one["error"] for one in said["failures"]},
            raw=said,
        )
    except (KeyError, TypeError) as error:
        raise ServiceError(f"the reply is none of vicl serve's ({error})") from error
