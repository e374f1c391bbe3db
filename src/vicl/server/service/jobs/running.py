"""The worker of jobs: one of all processes, one image at a time."""

from __future__ import annotations

import asyncio
import fcntl
import io
import logging
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from vicl.exports.answers import Answer, Query
from vicl.exports.masks import objects_image
from vicl.exports.writers import Writer, open_writer
from vicl.files import is_no_room
from vicl.images import find_images
from vicl.prompting.prompter import VisualPrompter
from vicl.server.names import plainly
from vicl.server.packing import pack
from vicl.server.problems import Refusal
from vicl.server.service.batcher import Prompted
from vicl.server.service.jobs.intake import ANSWERS, IMAGES, RESULT, clear
from vicl.server.service.jobs.store import Job, Store
from vicl.server.service.service import Service

log = logging.getLogger("vicl.serve")

_IDLE: Final = 0.3
_AGAIN: Final = 30.0
_TIDY: Final = 60.0
_LONGEST: Final = 3600.0
"""Seconds: between looks for a job; until a full disk is tried again; between looks for what is
old; that an image may take."""
_ORPHANED: Final = 3600.0
"""Seconds after which a folder without a job is no upload that is still coming."""


class _LeftError(Exception):
    """A job is to be left where it is: it was cancelled or deleted, or the service ends."""


class Worker:
    """Works on the jobs of a folder, if no other process does.

    Args:
        service: Answers the images.
        store: The jobs.
    """

    def __init__(self, service: Service, store: Store) -> None:
        self.service, self.store = service, store
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lock: io.BufferedRandom | None = None
        self._tidied = 0.0

    def begin(self) -> None:
        """Begin, in the loop that runs."""
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """End after the image that is being answered; its job goes on with the next start."""
        self._ending.set()
        if self._task is not None:
            await self._task
        if self._lock is not None:
            self._lock.close()

    async def _run(self) -> None:
        while not self._left():
            worked = False
            try:
                if await asyncio.to_thread(self._is_only_one):
                    await asyncio.to_thread(self._tidy)
                    job = await asyncio.to_thread(self.store.next)
                    worked = job is not None and await self._work(job)
            except (OSError, sqlite3.Error) as error:
                log.error("jobs: %s", error)
                await self._pause(_AGAIN)
            if not worked:
                await self._pause(_IDLE)

    def _left(self) -> bool:
        return self._ending.is_set() or self.service.state == "ending"

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _is_only_one(self) -> bool:
        """Hold the folder, until this process ends, however it does; False if another does."""
        if self._lock is None:
            stream = (self.store.folder / ".worker").open("a+b")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                return False
            self._lock = stream
        return True

    async def _work(self, job: Job) -> bool:
        """Work on a job until it ends or is left; False if it is to wait for a while."""
        try:
            size = await self._answer(job)
            ended = await asyncio.to_thread(self.store.end, job.id, "done", None, size)
            log.info("job %s %s", job.id, "done" if ended else "left")
        except _LeftError:
            log.info("job %s left", job.id)
        except (ValueError, OSError) as error:
            if is_no_room(error):
                log.error("job %s: %s", job.id, error)
                await asyncio.to_thread(self.store.note, job.id, f"{error}; tried again soon")
                await self._pause(_AGAIN)
                return False
            told = plainly(error, self.store.folder / job.id, "the job")
            await asyncio.to_thread(self.store.end, job.id, "failed", told)
        except Exception as error:
            log.error("job %s failed", job.id, exc_info=error)
            told = f"The service failed ({type(error).__name__}); its log says more."
            await asyncio.to_thread(self.store.end, job.id, "failed", told)
        await asyncio.to_thread(self._clear, job.id)
        return True

    async def _answer(self, job: Job) -> int:
        """Answer what is not answered yet, and pack all; gives the bytes of that.

        Raises:
            _LeftError: If the job is to be left.
            ValueError: If it cannot be done.
            OSError: Likewise.
        """
        prompt, folder = self.service.prompts.get(job.prompt), self.store.folder / job.id
        if prompt is None:
            raise ValueError(
                f"The service was started again without the prompt {job.prompt}; send the job by "
                "one that it has."
            )
        prompter = await asyncio.to_thread(prompt.prompter)
        queries = [
            Query(path, PurePath(path.relative_to(folder / IMAGES)))
            for path in await asyncio.to_thread(find_images, folder / IMAGES)
        ]
        failed = await asyncio.to_thread(self.store.failures, job.id)
        words = _beside(prompter, job.format)
        with open_writer(
            f"{folder / ANSWERS}/",
            queries,
            format=job.format,
            classes=getattr(prompter.task, "marks", ()),
            masks=prompter.task.name != "detection",
            samples=prompter.settings.samples,
            beside=words,
            made_by=prompter.made_by(),
            resume=True,
        ) as writer:
            left = [query for query in queries if not writer.done(query)]
            done = len(queries) - len(left)
            for query in left:
                if query.relative.as_posix() in failed:
                    continue
                if self._left() or not await asyncio.to_thread(self.store.progress, job.id, done):
                    raise _LeftError
                done += await self._one(job, prompt, query, writer, bool(words))
            await asyncio.to_thread(self.store.progress, job.id, done)
        partial = folder / f".{RESULT}"
        await asyncio.to_thread(pack, folder / ANSWERS, partial)
        return partial.replace(folder / RESULT).stat().st_size

    async def _one(
        self, job: Job, prompt: Prompted, query: Query, writer: Writer, objects: bool
    ) -> bool:
        """Answer an image and write it; False if that failed, which is noted."""

        def write(answer: Answer) -> None:
            if objects and answer.objects is not None:
                writer.save_beside(query, "objects", objects_image(answer.objects))
            writer.write(query, answer)

        try:
            await asyncio.to_thread(write, await self._asked(prompt, query.path))
        except (ValueError, OSError, Refusal) as error:
            if is_no_room(error):
                raise
            name = query.relative.as_posix()
            told = plainly(error, query.path, name)
            await asyncio.to_thread(self.store.fail, job.id, name, told)
            return False
        return True

    async def _asked(self, prompt: Prompted, image: Path) -> Answer:
        """The answer to an image; while requests fill the queue, it waits."""
        while True:
            try:
                until = time.monotonic() + _LONGEST
                (answer,) = await self.service.answer(prompt, [image], until)
            except Refusal as error:
                if error.status != 503:
                    raise
                if self._left():
                    raise _LeftError from error
                await self._pause(_IDLE)
            else:
                return answer

    def _tidy(self) -> None:
        """Delete jobs that ended long ago, and what nobody knows of."""
        if time.monotonic() - self._tidied < _TIDY:
            return
        self._tidied = time.monotonic()
        for id in self.store.old(time.time() - self.service.settings.jobs_seconds):
            self.store.delete(id)
            self._clear(id)
        for folder in self.store.folder.iterdir():
            if not folder.is_dir():
                continue
            known = self.store.get(folder.name) is not None
            if known or time.time() - folder.stat().st_mtime > _ORPHANED:
                self._clear(folder.name)

    def _clear(self, id: str) -> None:
        """Remove the files that a job needs no longer."""
        job, folder = self.store.get(id), self.store.folder / id
        if job is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif job.finished is not None:
            clear(folder)


def _beside(prompter: VisualPrompter, format: str) -> list[str]:
    """Words of the pictures that `vicl predict` puts beside an answer, unasked."""
    objects = prompter.settings.instances and format == "png" and prompter.task.classes
    return ["objects"] if objects else []
