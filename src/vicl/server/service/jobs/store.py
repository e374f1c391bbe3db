"""Jobs as rows of one SQLite file, which several processes share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from vicl.files import display
from vicl.server.problems import Refusal

State = Literal["waiting", "running", "done", "failed", "cancelled"]
OPEN: Final = ("waiting", "running")
"""States of jobs that are still worked on."""

_NAME: Final = "jobs.sqlite"
_PATIENCE: Final = 30.0
"""Seconds to wait for another process that writes."""
_SCHEMA: Final = f"""
create table if not exists jobs (
    id text primary key, owner text not null, created real not null,
    state text not null check (state in {get_args(State)}),
    prompt text not null, format text not null, total integer not null, bytes integer not null,
    done integer not null default 0, finished real, error text
);
create table if not exists failures (
    job text not null references jobs (id) on delete cascade,
    name text not null, error text not null, primary key (job, name)
);
"""


@dataclass(frozen=True)
class Job:
    """A job, as it stands.

    Attributes:
        id: What it is called.
        owner: Who may see it: a hash of the key that sent it, empty where there are no keys.
        created: Seconds since 1970.
        state: How it stands.
        prompt: By which prompt file.
        format: Of the answers: one of :data:`vicl.exports.writers.FORMATS`.
        total: How many images it has.
        bytes: What its files hold.
        done: How many are answered.
        finished: When it ended, in seconds since 1970.
        error: What it failed of, in a sentence.
    """

    id: str
    owner: str
    created: float
    state: State
    prompt: str
    format: str
    total: int
    bytes: int
    done: int = 0
    finished: float | None = None
    error: str | None = None


_AT_A_TIME: Final = 2
"""Zips that a process takes in together: each is on the disk packed and unpacked."""
_HELD: Final = "select count(*), coalesce(sum(bytes), 0) from jobs"
_COLUMNS: Final = ", ".join(Job.__dataclass_fields__)


class Store:
    """The jobs of a folder; each call is one transaction.

    Args:
        folder: Made where it is not there; only this user may look into it.

    Raises:
        ValueError: If its file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._coming = folder, 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(self._connect()) as base:
                base.execute("pragma journal_mode = wal")
                base.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ValueError(
                f"{display(folder)}: jobs cannot be kept there ({error}); give another folder"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.folder / _NAME, timeout=_PATIENCE, isolation_level=None)
        base.execute("pragma foreign_keys = on")
        base.execute("pragma synchronous = normal")  # a killed process loses nothing by it
        return base

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as base:
            base.execute("begin immediate")
            try:
                yield base
            except BaseException:
                base.execute("rollback")
                raise
            base.execute("commit")

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Take a zip in, in the event loop; no more than a few come at a time.

        Raises:
            Refusal: 503 if so many do.
        """
        if self._coming >= _AT_A_TIME:
            raise Refusal(
                503, f"{self._coming} zips are coming already; ask again soon.", retry_after=5
            )
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def add(self, job: Job, *, count: int, most: int) -> None:
        """Take a job.

        Args:
            job: Its files are there already.
            count: Most jobs in all.
            most: Most bytes of all.

        Raises:
            Refusal: 503 if there is no room.
        """
        with self._changing() as base:
            jobs, held = base.execute(_HELD).fetchone()
            check_room(jobs, held + job.bytes, count=count, most=most)
            values = [getattr(job, name) for name in Job.__dataclass_fields__]
            marks = ", ".join("?" * len(values))
            base.execute(f"insert into jobs ({_COLUMNS}) values ({marks})", values)

    def held(self) -> tuple[int, int]:
        """How many jobs there are, and how many bytes they hold."""
        with closing(self._connect()) as base:
            jobs, held = base.execute(_HELD).fetchone()
        return jobs, held

    def get(self, id: str) -> Job | None:
        """A job; None where there is none, or no longer."""
        with closing(self._connect()) as base:
            row = base.execute(f"select {_COLUMNS} from jobs where id = ?", (id,)).fetchone()
        return None if row is None else Job(*row)

    def of(self, owner: str) -> list[Job]:
        """The jobs of an owner, the newest first."""
        with closing(self._connect()) as base:
            rows = base.execute(
                f"select {_COLUMNS} from jobs where owner = ? order by created desc, id",
                (owner,),
            ).fetchall()
        return [Job(*row) for row in rows]

    def failures(self, id: str) -> dict[str, str]:
        """Images of a job that were not answered, and why."""
        with closing(self._connect()) as base:
            return dict(
                base.execute(
                    "select name, error from failures where job = ? order by name", (id,)
                ).fetchall()
            )

    def next(self) -> Job | None:
        """The job to work on, running from now on: one stopped in the middle, or the oldest."""
        with self._changing() as base:
            row = base.execute(
                f"select {_COLUMNS} from jobs where state in ('running', 'waiting') "
                "order by state, created, id limit 1"
            ).fetchone()
            if row is None:
                return None
            base.execute("update jobs set state = 'running' where id = ?", row[:1])
        return Job(*row)

    def progress(self, id: str, done: int) -> bool:
        """So many images are answered; False once the job is to be left."""
        return self._change(id, "done = ?", done)

    def fail(self, id: str, name: str, error: str) -> None:
        """An image is not answered."""
        with self._changing() as base:
            base.execute(
                "insert or replace into failures select id, ?, ? from jobs where id = ?",
                (name, error, id),
            )

    def end(self, id: str, state: State, error: str | None = None, bytes: int = 0) -> bool:
        """A job has ended; False if it had, or is gone."""
        return self._change(
            id, "state = ?, error = ?, bytes = ?, finished = ?", state, error, bytes, time.time()
        )

    def note(self, id: str, error: str) -> None:
        """What keeps a job from going on."""
        self._change(id, "error = ?", error)

    def cancel(self, id: str) -> None:
        """A job is to be left; nothing happens where it has ended."""
        self._change(id, "state = 'cancelled', error = null, bytes = 0, finished = ?", time.time())

    def delete(self, id: str) -> None:
        """A job is forgotten; its worker sees that."""
        with self._changing() as base:
            base.execute("delete from jobs where id = ?", (id,))

    def old(self, before: float) -> list[str]:
        """Jobs that ended before then, in seconds since 1970."""
        with closing(self._connect()) as base:
            rows = base.execute("select id from jobs where finished < ?", (before,)).fetchall()
        return [row[0] for row in rows]

    def _change(self, id: str, what: str, *values: object) -> bool:
        with self._changing() as base:
            done = base.execute(
                f"update jobs set {what} where id = ? and state in {OPEN}",
                (*values, id),
            )
            return done.rowcount == 1


def check_room(jobs: int, held: int, *, count: int, most: int) -> None:
    """Refuse a job that there is no room for.

    Raises:
        Refusal: 503; people can make room.
    """
    if jobs >= count:
        raise Refusal(
            503,
            f"{jobs} jobs are kept already, and no more than {count} may be; delete some, or ask "
            "again later.",
            retry_after=60,
        )
    if held > most:
        raise Refusal(
            503,
            f"Jobs would hold more than {most >> 20} MiB together; delete some, send less, or ask "
            "again later.",
            retry_after=60,
        )
