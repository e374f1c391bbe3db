"""`vicl serve`: prompts behind HTTP, for programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, examples, flag, number, options, path, text
from vicl.files import display
from vicl.files.bounded import read_bounded
from vicl.files.extras import to_install

KEY = "VICL_API_KEY"
_KEYS_LIMIT = 1 << 16


@click.command(
    epilog=examples(
        "# answer programs on this machine by a prompt file; /docs says how to ask",
        "vicl serve --prompt leaf.vicl",
        "# for other machines: whoever asks shows a key",
        "vicl serve --prompt leaf.vicl --host 0.0.0.0 --name labels.example.org \\",
        "    --api-key-file keys.txt --prompts-only",
        "# two processes, each with its own engine",
        "vicl serve --prompt leaf.vicl --prompt stem.vicl --workers 2",
        "# and zips of thousands of images, which go on after a restart",
        "vicl serve --prompt leaf.vicl --jobs /var/lib/vicl",
    )
)
@options(
    path("--prompt prompts", "F.vicl", "Load a prompt file, called by its name.", multiple=True),
    text(
        "--model",
        "NAME|FOLDER",
        "The engine of examples that requests bring; `vicl models` lists them.  [default: the "
        "best for masks]",
    ),
    flag("--prompts-only", "Refuse requests that bring examples of their own."),
    text(
        "--host",
        "H",
        "Listen there; other than this machine, keys are needed.",
        default="127.0.0.1",
    ),
    number("--port", 0, "0 takes any that is free.", default=8472, most=65535, metavar="N"),
    text(
        "--name names",
        "NAME",
        "A name by which it is called, as behind a reverse proxy. Repeat for more.",
        multiple=True,
    ),
    path(
        "--api-key-file",
        "FILE",
        "Keys, one a line; a request shows one as `Authorization: Bearer KEY`. Or one key in the "
        f"variable {KEY}.",
    ),
    number("--workers", 1, "Processes, each with engines of its own.", default=1, metavar="N"),
    number(
        "--max-batch", 1, "Queries that are answered together.", default=8, most=1024, metavar="N"
    ),
    number(
        "--max-wait",
        0,
        "Milliseconds that a query waits for others of its prompt.",
        default=5,
        most=10_000,
        metavar="MS",
    ),
    number(
        "--queue", 1, "Queries that wait; more are refused.", default=64, most=100_000, metavar="N"
    ),
    number(
        "--deadline",
        1,
        "Seconds after which a request is given up.",
        default=60,
        most=3600,
        metavar="S",
    ),
    number("--limit-body", 1, "MiB of a request.", default=64, most=1 << 14, metavar="MIB"),
    number("--limit-files", 1, "Files of a request.", default=32, most=1024, metavar="N"),
    number("--limit-pixels", 1, "Pixels of a picture.", default=64_000_000, metavar="N"),
    path("--jobs", "FOLDER", "Take jobs, zips of images, and keep them there.  [default: none]"),
    number("--limit-jobs", 1, "Jobs that are kept.", default=100, most=100_000, metavar="N"),
    number("--limit-jobs-size", 1, "MiB they hold.", default=8192, most=1 << 24, metavar="MIB"),
    number(
        "--keep-jobs", 1, "Hours until an ended job is deleted.", default=72, most=8760, metavar="H"
    ),
    path(
        "--pool",
        "POOL",
        "The pool from which prompt files choose examples.  [default: what a file names below its "
        "own folder]",
    ),
    path(
        "--media",
        "FOLDER",
        "Images that Label Studio names by a path lie there.  [default: none is opened]",
    ),
    DEVICE,
    DEBUG,
)
def serve(**given: Any) -> None:
    """Answer pictures over HTTP, by prompt files or by examples that come with them.

    /docs says how to ask, /v1/openapi.json says it to programs. Needs the extra:
    pip install "vicl[server]". SIGTERM and Ctrl-C end it once what was accepted is answered.
    """
    with failing(2, debug=given["debug"]):
        code = _serve(given)
    sys.exit(code)


def _serve(given: dict[str, Any]) -> int:
    try:
        from vicl.server.service.running import run_here, run_several, set_log
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("fastapi", "uvicorn", "starlette", "prometheus_client", "h11"):
            raise
        raise click.UsageError(
            f"serving needs {missing}, which is not installed: {to_install('server')}"
        ) from error
    from vicl.server.listening import address_of, bind, names_of
    from vicl.server.security import is_loopback
    from vicl.server.service.settings import ServiceSettings

    host, keys = given["host"], _keys(given["api_key_file"])
    if not keys and not is_loopback(host):
        raise click.UsageError(
            f"--host {host}: other machines may ask only with a key; give --api-key-file, or set "
            f"{KEY}"
        )
    if given["prompts_only"] and not given["prompts"]:
        raise click.UsageError("--prompts-only: there is nothing to answer by; give --prompt")
    if given["media"] is not None and not given["media"].is_dir():
        raise click.UsageError(f"--media: {display(given['media'])} is no folder")
    settings = ServiceSettings(
        prompts=given["prompts"],
        model=given["model"],
        device=given["device"],
        examples=not given["prompts_only"],
        at_once=given["max_batch"],
        wait=given["max_wait"] / 1000,
        queue=given["queue"],
        deadline=float(given["deadline"]),
        body_bytes=given["limit_body"] << 20,
        limit_pixels=given["limit_pixels"],
        files=given["limit_files"],
        jobs=given["jobs"],
        jobs_count=given["limit_jobs"],
        jobs_bytes=given["limit_jobs_size"] << 20,
        jobs_seconds=given["keep_jobs"] * 3600.0,
        pool=given["pool"],
        media=given["media"],
        keys=keys,
        hosts=(*names_of(host), *(name.lower() for name in given["names"])),
    )
    with bind(host, given["port"]) as bound:
        address = address_of(bound, host)

        def ready() -> None:
            click.echo(address)

        set_log()
        if given["workers"] == 1:
            run_here(settings, bound, ready=ready)
            return 0
        return run_several(settings, bound, given["workers"], ready)


def _keys(file: Path | None) -> tuple[str, ...]:
    """The keys of a file and of the environment.

    Raises:
        ValueError: If the file cannot be read, or one can be guessed.
    """
    from vicl.server.service.keys import check_keys

    found = [os.environ[KEY]] if os.environ.get(KEY) else []
    if file is not None:
        lines = read_bounded(file, _KEYS_LIMIT).decode("utf-8", "replace").splitlines()
        written = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not written:
            raise ValueError(f"--api-key-file: {file} holds no key; write one a line")
        found += written
    check_keys(found)
    return tuple(found)
