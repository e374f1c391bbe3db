"""Refusals in words: RFC 9457 problem details, of whatever went wrong."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vicl.files import FileError, is_no_room
from vicl.files.faults import complaint, place

log = logging.getLogger(__name__)


class Refusal(Exception):  # noqa: N818 - it is no fault of the program
    """A request that is refused; `detail` is a sentence for a person, `state` the newer state.

    Where it may be asked again, `retry_after` says in how many seconds.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        state: dict[str, Any] | None = None,
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.state = status, detail, state
        self.retry_after = retry_after


def problem(status: int, detail: str, state: dict[str, Any] | None = None) -> JSONResponse:
    """A refusal as RFC 9457 has it."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if state is not None:
        body["state"] = state
    return JSONResponse(body, status, media_type="application/problem+json")


def tell_problems(app: FastAPI) -> None:
    """Answer every error by a problem."""

    @app.exception_handler(Refusal)
    def refused(_: Request, error: Refusal) -> JSONResponse:
        response = problem(error.status, error.detail, error.state)
        if error.retry_after is not None:
            response.headers["retry-after"] = str(error.retry_after)
        return response

    @app.exception_handler(HTTPException)
    def by_framework(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return problem(404, f"There is nothing at {request.url.path[:200]}.")
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            told = problem(405, f"{request.url.path[:200]} is asked by {allowed}.")
            told.headers["allow"] = allowed
            return told
        return problem(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        fault = error.errors()[0]
        where = place(part for part in fault["loc"] if part != "body")
        said = complaint(fault)
        return problem(422, f"{where}: {said}" if where else said)

    @app.exception_handler(ValueError)
    def wrong(_: Request, error: ValueError) -> JSONResponse:
        if is_no_room(error):
            return problem(507, str(error))
        status = 503 if isinstance(error, FileError) and "cannot be written" in str(error) else 422
        return problem(status, str(error))

    @app.exception_handler(Exception)
    def broken(_: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", exc_info=error)
        return problem(500, f"The server failed ({type(error).__name__}); its log says more.")
