"""Errors as HTTP answers: a status, and JSON that says what is wrong, where, and the way out."""

from __future__ import annotations

from pathlib import PurePath

from starlette.responses import JSONResponse

from sightline.errors import BackendError, DataError, ModelError, RequestError, SightlineError
from sightline.serving.prefixes import ALONE, Prefix

_RETRY_AFTER_S = 1


def problem(error: Exception, prefix: Prefix = ALONE) -> JSONResponse:
    """The answer to a request that failed; never more of an unforeseen error than that it happened.

    Args:
        error: what went wrong.
        prefix: of the routes that its way out names.
    """
    if not isinstance(error, SightlineError):
        return problem_response(
            500, "the server failed", "", "Its log says why; tell its keeper the time of the request."
        )
    status = status_of(error)
    # Clients need no paths of the server's disk.
    where = error.where if status < 500 else PurePath(error.where).name
    response = problem_response(status, error.what, where, prefix.told(error.way_out))
    if isinstance(error, BackendError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def status_of(error: SightlineError) -> int:
    """The status that says whose fault it is."""
    match error:
        case RequestError():
            return error.status
        case DataError():
            return 422
        case BackendError() | ModelError():
            return 503
        case _:
            return 500


def problem_response(status: int, what: str, where: str, way_out: str) -> JSONResponse:
    """An error as an answer."""
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status == 503 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": what, "where": where, "way_out": way_out}, status, headers)
