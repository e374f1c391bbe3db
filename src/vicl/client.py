"""A thin client of `vicl serve`, sync and async; needs the extra: pip install "vicl[client]"."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import httpx2

Picture: TypeAlias = str | os.PathLike[str] | bytes
"""A picture's file by its path, or its bytes: they are sent as they are."""

Pixels: TypeAlias = Literal["none", "rle", "png"]


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
    alternatives: tuple[Prediction, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class _Client:
    """What both clients share: requests made and replies read, without a connection."""

    def __init__(
        self, url: str = "http://localhost:8472", *, key: str | None = None, timeout: float = 120.0
    ) -> None:
        self._url = url.rstrip("/")
        self._given: dict[str, Any] = {
            "headers": {} if key is None else {"authorization": f"Bearer {key}"},
            "timeout": timeout,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    def _url_of(self, path: str) -> str:
        return f"{self._url}{path}"


class Client(_Client):
    """Asks a service.

    Args:
        url: Where it listens.
        key: One of its keys, where it has some.
        timeout: Seconds to wait for a reply.

    Raises:
        ImportError: If the extra is not installed.
    """

    def __init__(
        self, url: str = "http://localhost:8472", *, key: str | None = None, timeout: float = 120.0
    ) -> None:
        super().__init__(url, key=key, timeout=timeout)
        self._http: httpx2.Client = _library().Client(**self._given)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def predict(
        self,
        queries: Picture | Iterable[Picture],
        *,
        prompt: str | None = None,
        examples: Sequence[tuple[Picture, Picture]] = (),
        pixels: Pixels = "png",
        **fields: Any,
    ) -> list[Prediction]:
        """Answer pictures, all or none.

        Args:
            queries: One or several.
            prompt: A prompt file that the service has loaded, by its name.
            examples: Else (input, output) pairs.
            pixels: How answers' pixels are given.
            **fields: Further fields of the form: `task`, `classes`, `settings`, ... as `/docs`
                lists them.

        Raises:
            ServiceError: If the service refuses or cannot be reached.
            OSError: If a file cannot be read.
        """
        form = _form(queries, prompt, examples, {"pixels": pixels, **fields})
        return _predictions(self._ask("POST", "/v1/predict", form))

    def models(self) -> list[dict[str, Any]]:
        """The engines that are loaded; raises as :meth:`predict`."""
        return _list(self._ask("GET", "/v1/models"), "models")

    def prompts(self) -> list[dict[str, Any]]:
        """The prompt files that are loaded; raises as :meth:`predict`."""
        return _list(self._ask("GET", "/v1/prompts"), "prompts")

    def _ask(self, method: str, path: str, form: Any = None) -> Any:
        try:
            reply = self._http.request(method, self._url_of(path), files=form)
        except _library().HTTPError as error:
            raise _unreached(self._url, error) from error
        return _read(reply)


class AsyncClient(_Client):
    """Asks a service, in asyncio; see :class:`Client`."""

    def __init__(
        self, url: str = "http://localhost:8472", *, key: str | None = None, timeout: float = 120.0
    ) -> None:
        super().__init__(url, key=key, timeout=timeout)
        self._http: httpx2.AsyncClient = _library().AsyncClient(**self._given)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def predict(
        self,
        queries: Picture | Iterable[Picture],
        *,
        prompt: str | None = None,
        examples: Sequence[tuple[Picture, Picture]] = (),
        pixels: Pixels = "png",
        **fields: Any,
    ) -> list[Prediction]:
        """See :meth:`Client.predict`; a task that is cancelled takes its queries back."""
        form = _form(queries, prompt, examples, {"pixels": pixels, **fields})
        return _predictions(await self._ask("POST", "/v1/predict", form))

    async def models(self) -> list[dict[str, Any]]:
        """See :meth:`Client.models`."""
        return _list(await self._ask("GET", "/v1/models"), "models")

    async def prompts(self) -> list[dict[str, Any]]:
        """See :meth:`Client.prompts`."""
        return _list(await self._ask("GET", "/v1/prompts"), "prompts")

    async def _ask(self, method: str, path: str, form: Any = None) -> Any:
        try:
            reply = await self._http.request(method, self._url_of(path), files=form)
        except _library().HTTPError as error:
            raise _unreached(self._url, error) from error
        return _read(reply)


def _library() -> Any:
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise ImportError(
            'vicl.Client needs httpx2, which is not installed: pip install "vicl[client]"'
        ) from error
    return httpx2


def _form(
    queries: Picture | Iterable[Picture],
    prompt: str | None,
    examples: Sequence[tuple[Picture, Picture]],
    fields: Mapping[str, Any],
) -> list[tuple[str, tuple[str | None, bytes]]]:
    """The parts of a form, in order: name, and file name with bytes; words have no file name."""
    several = [queries] if isinstance(queries, str | bytes | os.PathLike) else list(queries)
    parts = [("query", _file(picture, f"query-{n}")) for n, picture in enumerate(several)]
    for number, (shown, output) in enumerate(examples):
        parts.append(("example_input", _file(shown, f"input-{number}")))
        parts.append(("example_output", _file(output, f"output-{number}")))
    words = {"prompt": prompt, **fields}
    for name, value in words.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            parts.append((name, (None, text.encode())))
    return parts


def _file(picture: Picture, name: str) -> tuple[str | None, bytes]:
    if isinstance(picture, bytes):
        return name, picture
    path = Path(picture)
    return path.name, path.read_bytes()


def _read(reply: httpx2.Response) -> Any:
    try:
        said = reply.json()
    except ValueError:
        said = None
    if reply.is_success and isinstance(said, dict):
        return said
    detail = said.get("detail") if isinstance(said, dict) else None
    wait = reply.headers.get("retry-after", "")
    raise ServiceError(
        str(detail or f"the reply is none of vicl serve's (status {reply.status_code})"),
        reply.status_code,
        float(wait) if wait.isdecimal() else None,
    )


def _unreached(url: str, error: Exception) -> ServiceError:
    return ServiceError(f"{url}: no reply ({type(error).__name__}: {error}); is it running?")


def _list(said: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    if not isinstance(said.get(name), list):
        raise ServiceError(f"the reply has no {name}: it is none of vicl serve's")
    return list(said[name])


def _predictions(said: Mapping[str, Any]) -> list[Prediction]:
    return [_prediction(one) for one in _list(said, "answers")]


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
            alternatives=tuple(_prediction(one) for one in said.get("alternatives", ())),
            raw=said,
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ServiceError(f"the reply is none of vicl serve's ({error})") from error
