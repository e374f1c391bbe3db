"""`vicl app`: the labelling app, in a browser."""

from __future__ import annotations

import secrets
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, PATH, examples, flag, number, options, path, text
from vicl.files import display
from vicl.files.extras import to_install

_GRACE: Final = 10
"""Seconds for what is being answered as the app ends; it waits no longer than that takes."""


@click.command(
    epilog=examples(
        "# mark a few areas of one photograph, and see the others answered",
        "vicl app photos",
        "# what was made there runs without the app: save the prompt in the page, then",
        "vicl predict others --prompt leaf.vicl --format coco -o leaves.json",
        "# with no folder: drop files into the page; the project is kept in ./vicl-project",
        "vicl app",
        "# from another machine; the address that is printed holds the token",
        "vicl app photos --host 0.0.0.0 --port 8080 --no-browser",
    )
)
@click.argument("folder", required=False, type=PATH)
@options(
    path(
        "--project",
        "DIR",
        "Where marks, answers and settings are kept.  [default: FOLDER/vicl-project]",
    ),
    text(
        "--host",
        "H",
        "Listen there; other than this machine, a token is asked for.",
        default="127.0.0.1",
    ),
    number("--port", 0, "0 takes any that is free.", default=8471, most=65535, metavar="N"),
    flag("--no-browser", "Open no browser."),
    text(
        "--model",
        "NAME",
        "The engine, a model folder or hub:owner/name.  [default: as the project says]",
    ),
    DEVICE,
    DEBUG,
)
def app(folder: Path | None, **given: Any) -> None:
    """Mark a few areas of photographs, see the others answered, leave with masks and a prompt.

    FOLDER holds photographs; nothing in it is changed but for the project's own folder, which goes
    on where it was left. Needs the extra: pip install "vicl[app]". Ctrl-C ends it; nothing is
    lost.
    """
    with failing(2, debug=given["debug"]):
        _serve(folder, given)


def _serve(folder: Path | None, given: dict[str, Any]) -> None:
    try:
        import uvicorn

        from vicl.app.factory import create_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "uvicorn", "starlette"):
            raise
        raise click.UsageError(
            f"the app needs {error.name}, which is not installed: {to_install('app')}"
        ) from error
    from vicl.images import APP_PROJECT
    from vicl.server.listening import address_of, bind, configured, names_of
    from vicl.server.project import Project
    from vicl.server.security import Guard, is_loopback
    from vicl.server.services import Services

    if folder is not None and not folder.is_dir():
        raise click.UsageError(f"{display(folder)}: is no folder; give one with photographs")
    place = given["project"] or (folder or Path()) / APP_PROJECT
    project = Project(place, folder)
    host = given["host"]
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    services = Services(project, device=given["device"])
    if given["model"] is not None:
        engine = services.engines.let_in(given["model"])
        if engine != project.file.engine:
            project.change(engine=engine)
    served = create_app(services, Guard(hosts=names_of(host), token=token))
    listener = configured(
        served, host=host, port=given["port"], log_level="warning", timeout_graceful_shutdown=_GRACE
    )

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            services.leave()  # else pages that listen, and scores, keep it alive
            super().handle_exit(sig, frame)

    server = Server(listener)
    try:
        bound = bind(host, given["port"])
    except ValueError:
        services.end()
        raise
    bound.listen()  # who opens the address that is printed waits, and is not refused
    address = address_of(bound, host) + ("" if token is None else f"?token={token}")
    click.echo(
        f"{len(project.images)} images of {display(folder or place)}; project: {display(place)}",
        err=True,
    )
    click.echo(address)
    if not given["no_browser"]:
        webbrowser.open(address)
    services.warm()
    server.run(sockets=[bound])
