"""What the routes of a service share."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from PIL import Image

from vicl.exports.answers import Answer
from vicl.prompting.prompt_file import has_pool
from vicl.prompting.prompter import VisualPrompter
from vicl.server.problems import Refusal
from vicl.server.service.batcher import Batcher, Prompted, Query
from vicl.server.service.engines import Engines
from vicl.server.service.metrics import Metrics
from vicl.server.service.settings import ServiceSettings

log = logging.getLogger(__name__)


class Service:
    """Prompts, engines, and the queue before them.

    Args:
        settings: As it is started.

    Attributes:
        prompts: Those that were loaded, by name.
        state: "starting", "ready", "ending", or what it failed of.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.engines = Engines(settings)
        self.prompts: dict[str, Prompted] = {}
        self.state = "starting"
        self._brought: OrderedDict[bytes, Prompted] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._batcher: Batcher | None = None

    def begin(self) -> None:
        """Load prompts and engines, and ask each prompt once, so that nobody waits for that.

        Raises:
            ValueError: If one cannot be loaded.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="vicl-serve-")
        for path in self.settings.prompts:
            if path.stem in self.prompts:
                raise ValueError(f"--prompt: two files are called {path.stem!r}; rename one")
            made = self.engines.prompter(path)
            blank = Image.new("RGB", (256, 256), "gray")
            made.predict(blank if made.selector else made.passes[0][0].input)
            self.prompts[path.stem] = _ready(path.stem, made)
        wanting = any(has_pool(path, elsewhere=True) for path in self.settings.prompts)
        if self.settings.pool is not None and not wanting:
            raise ValueError(
                "--pool: none of the prompt files chooses examples from a pool elsewhere; one "
                "below a file's own folder is found there"
            )
        if self.settings.examples:
            self.engines.chosen()
        self._batcher = Batcher(
            at_once=self.settings.at_once,
            wait=self.settings.wait,
            room=self.settings.queue,
            watcher=self.metrics,
        )
        self.state = "ready"

    def close(self) -> None:
        """Take nothing more; what was taken is still answered."""
        self.state = "ending"
        if self._batcher is not None:
            self._batcher.close()

    def end(self) -> None:
        """Answer what was taken, and end."""
        self.close()
        if self._batcher is not None:
            self._batcher.end()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """Where files of requests are kept while they are answered; only this process's user."""
        assert self._folder is not None, "begin() makes it"
        return Path(self._folder.name)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read a body, in the event loop; no more are read at a time than queries may wait.

        Raises:
            Refusal: 503 if so many are.
        """
        if self._reading >= self.settings.queue:
            raise Refusal(
                503,
                f"{self._reading} requests are being read already; ask again soon.",
                retry_after=1,
            )
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    def brought(
        self,
        key: bytes,
        files: Sequence[Path],
        make: Callable[[Sequence[Path]], VisualPrompter],
    ) -> Prompted:
        """A prompt of a request's own examples; the last few are kept ready.

        Args:
            key: What it is made of.
            files: Of its examples; where it is new they are moved to where they outlast the
                request, since others may ask the same before it is made.
            make: Makes it of the files, in the engine's thread.
        """
        with self._lock:
            found = self._brought.get(key)
            if found is None or found.failed is not None:
                found = self._brought[key] = self._moved(files, make)
            self._brought.move_to_end(key)
            while len(self._brought) > self.settings.kept:
                self._brought.popitem(last=False)
            return found

    def _moved(
        self, files: Sequence[Path], make: Callable[[Sequence[Path]], VisualPrompter]
    ) -> Prompted:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        moved = [file.rename(folder / str(number)) for number, file in enumerate(files)]
        prompt = Prompted("", lambda: make(moved))
        weakref.finalize(prompt, shutil.rmtree, folder, ignore_errors=True)
        return prompt

    async def answer(
        self, prompt: Prompted, images: Sequence[Path], until: float
    ) -> Sequence[Answer]:
        """Answer pictures, all or none; whoever cancels this takes them back.

        Args:
            prompt: By what.
            images: Files; no other query has them, and they stay until this returns.
            until: When to give up, by the monotonic clock.

        Raises:
            Refusal: 503 if there is no room, 504 if time is up.
            ValueError: If one cannot be answered.
        """
        if self._batcher is None:
            raise Refusal(503, "The service is starting; ask again soon.", retry_after=5)
        queries = [Query(prompt, image) for image in images]
        self._batcher.put(queries)
        try:
            async with asyncio.timeout(until - time.monotonic()) as limit:
                return await asyncio.gather(*(asyncio.wrap_future(q.future) for q in queries))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Refusal(
                504, "Time was up before there was an answer; send less, or allow more time."
            ) from error
        finally:
            for query in queries:
                query.future.cancel()


def _ready(name: str, made: VisualPrompter) -> Prompted:
    return Prompted(name, lambda: made)


def key_of(*parts: object) -> bytes:
    """A hash of what a prompt is made of."""
    return hashlib.sha256(repr(parts).encode()).digest()


def _of_request(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


Use = Annotated[Service, Depends(_of_request)]
"""The service that a route runs in."""
