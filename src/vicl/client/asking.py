"""The clients: a question of each route, in plain Python and in asyncio."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vicl.client.replies import (
    Job,
    Prediction,
    arriving,
    job_of,
    list_of,
    pause_of,
    predictions_of,
    read_reply,
    unreached,
    until_of,
)
from vicl.client.sending import Picture, Pixels, form_of, job_form, path_of

if TYPE_CHECKING:
    import httpx2


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
        form = form_of(queries, prompt, examples, {"pixels": pixels, **fields})
        return predictions_of(self._ask("POST", "/v1/predict", form))

    def models(self) -> list[dict[str, Any]]:
        """The engines that are loaded; raises as :meth:`predict`."""
        return list_of(self._ask("GET", "/v1/models"), "models")

    def prompts(self) -> list[dict[str, Any]]:
        """The prompt files that are loaded; raises as :meth:`predict`."""
        return list_of(self._ask("GET", "/v1/prompts"), "prompts")

    def submit(self, images: Picture, *, prompt: str, format: str = "png") -> Job:
        """Have many images answered in the background; it goes on when the service is restarted.

        Args:
            images: A zip of them: its path, or its bytes.
            prompt: A prompt file that the service has loaded, by its name.
            format: Of the answers, as `vicl predict --format` has it.

        Raises:
            ServiceError: If the service refuses or cannot be reached.
            OSError: If the zip cannot be read.
        """
        with job_form(images, prompt, format) as form:
            return job_of(self._ask("POST", "/v1/jobs", form))

    def jobs(self) -> list[Job]:
        """Those that were sent with this key, the newest first; raises as :meth:`submit`."""
        return [job_of(one) for one in list_of(self._ask("GET", "/v1/jobs"), "jobs")]

    def progress(self, job: Job | str) -> Job:
        """A job, or the job of an id, as it stands now; raises as :meth:`submit`."""
        return job_of(self._ask("GET", path_of(_id(job))))

    def wait(self, job: Job | str, *, every: float = 2.0, timeout: float | None = None) -> Job:
        """Wait until a job has ended, well or not.

        Args:
            job: It, or its id.
            every: Seconds between two questions.
            timeout: Seconds in all; None: however long it takes.

        Raises:
            TimeoutError: If it takes longer; the job goes on.
            ServiceError: If the service refuses or cannot be reached.
        """
        until = until_of(timeout)
        while not (now := self.progress(job)).ended:
            time.sleep(pause_of(now, every, until))
        return now

    def result(self, job: Job | str, out: str | os.PathLike[str]) -> Path:
        """Write the zip of a job's answers; a file of the name is replaced.

        Args:
            job: It, or its id; its state is `done`.
            out: The file; it appears whole or not at all.

        Raises:
            ServiceError: If there is none yet, or the service cannot be reached.
            OSError: If the file cannot be written.
        """
        try:
            with self._http.stream("GET", self._url_of(f"{path_of(_id(job))}/result")) as reply:
                if not reply.is_success:
                    reply.read()
                    read_reply(reply)
                with arriving(Path(out)) as file:
                    for part in reply.iter_bytes():
                        file.write(part)
        except _library().HTTPError as error:
            raise unreached(self._url, error) from error
        return Path(out)

    def cancel(self, job: Job | str) -> Job:
        """Stop a job; one that has ended stays as it is. Raises as :meth:`submit`."""
        return job_of(self._ask("POST", f"{path_of(_id(job))}/cancel"))

    def delete(self, job: Job | str) -> None:
        """Stop a job and have its images and answers removed; raises as :meth:`submit`."""
        self._ask("DELETE", path_of(_id(job)))

    def _ask(self, method: str, path: str, form: Any = None) -> Any:
        try:
            reply = self._http.request(method, self._url_of(path), files=form)
        except _library().HTTPError as error:
            raise unreached(self._url, error) from error
        return read_reply(reply)


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
        form = form_of(queries, prompt, examples, {"pixels": pixels, **fields})
        return predictions_of(await self._ask("POST", "/v1/predict", form))

    async def models(self) -> list[dict[str, Any]]:
        """See :meth:`Client.models`."""
        return list_of(await self._ask("GET", "/v1/models"), "models")

    async def prompts(self) -> list[dict[str, Any]]:
        """See :meth:`Client.prompts`."""
        return list_of(await self._ask("GET", "/v1/prompts"), "prompts")

    async def submit(self, images: Picture, *, prompt: str, format: str = "png") -> Job:
        """See :meth:`Client.submit`."""
        with job_form(images, prompt, format) as form:
            return job_of(await self._ask("POST", "/v1/jobs", form))

    async def jobs(self) -> list[Job]:
        """See :meth:`Client.jobs`."""
        return [job_of(one) for one in list_of(await self._ask("GET", "/v1/jobs"), "jobs")]

    async def progress(self, job: Job | str) -> Job:
        """See :meth:`Client.progress`."""
        return job_of(await self._ask("GET", path_of(_id(job))))

    async def wait(
        self, job: Job | str, *, every: float = 2.0, timeout: float | None = None
    ) -> Job:
        """See :meth:`Client.wait`."""
        until = until_of(timeout)
        while not (now := await self.progress(job)).ended:
            await asyncio.sleep(pause_of(now, every, until))
        return now

    async def result(self, job: Job | str, out: str | os.PathLike[str]) -> Path:
        """See :meth:`Client.result`."""
        try:
            async with self._http.stream(
                "GET", self._url_of(f"{path_of(_id(job))}/result")
            ) as reply:
                if not reply.is_success:
                    await reply.aread()
                    read_reply(reply)
                with arriving(Path(out)) as file:
                    async for part in reply.aiter_bytes():
                        file.write(part)
        except _library().HTTPError as error:
            raise unreached(self._url, error) from error
        return Path(out)

    async def cancel(self, job: Job | str) -> Job:
        """See :meth:`Client.cancel`."""
        return job_of(await self._ask("POST", f"{path_of(_id(job))}/cancel"))

    async def delete(self, job: Job | str) -> None:
        """See :meth:`Client.delete`."""
        await self._ask("DELETE", path_of(_id(job)))

    async def _ask(self, method: str, path: str, form: Any = None) -> Any:
        try:
            reply = await self._http.request(method, self._url_of(path), files=form)
        except _library().HTTPError as error:
            raise unreached(self._url, error) from error
        return read_reply(reply)


def _library() -> Any:
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise ImportError(
            'vicl.Client needs httpx2, which is not installed: pip install "vicl[client]"'
        ) from error
    return httpx2


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
