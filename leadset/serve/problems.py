"""What goes wrong with a request, as a structured answer (RFC 9457, ``application/problem+json``)."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

MEDIA_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """A problem as clients get it: ``code`` for programs, ``title`` and ``detail`` for people."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str


class Problem(Exception):
    """Ends a request.

    Attributes:
        status: of HTTP.
        code: short name of the kind of problem, which does not change.
        title: the kind of problem in words.
        detail: what was found, and what was expected.
        headers: to be sent with it.
    """

    def __init__(self, status: int, code: str, title: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.title, self.detail, self.headers = status, code, title, detail, headers

    def response(self) -> JSONResponse:
        """The problem as an answer."""
        body = ProblemBody(title=self.title, status=self.status, code=self.code, detail=self.detail)
        return JSONResponse(body.model_dump(), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def unreadable(detail: str) -> Problem:
    """The upload is no recording that can be read."""
    return Problem(422, "unreadable", "The upload cannot be read as a recording", detail)


def bad_parameter(detail: str) -> Problem:
    """A parameter in the address has a value that it cannot have."""
    return Problem(422, "invalid_parameter", "A parameter of the address cannot be used", detail)


def too_large(detail: str) -> Problem:
    """The upload is beyond a limit of the server."""
    return Problem(413, "too_large", "The upload is larger than this server takes", detail)


def busy() -> Problem:
    """Too many requests are under way."""
    detail = "found as many requests under way as this server takes, expected fewer: try again in a second"
    return Problem(503, "busy", "The server is busy", detail, {"Retry-After": "1"})


#: What any of the endpoints may answer besides a result, for the OpenAPI document.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}}}
    for status, description in (
        (400, "The request is not well formed"),
        (401, "The API key is missing or wrong"),
        (413, "The upload is larger than this server takes"),
        (415, "The body is neither a form with files nor JSON"),
        (422, "The upload cannot be read as a recording, or a parameter of the address cannot be used"),
        (503, "The server is busy"),
        (504, "The request took too long"),
    )
}


async def answer_problem(request: Request, problem: Exception) -> JSONResponse:
    """The handler of `Problem` for FastAPI."""
    assert isinstance(problem, Problem)
    return problem.response()
