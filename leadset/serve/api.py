"""The API under ``/v1``, ``/health`` and ``/metrics``, the page that uses it, and two older contracts."""

from __future__ import annotations

import hmac
import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import leadset
from leadset.config import Serve
from leadset.entry import Entry
from leadset.entry.plain import plain_answer
from leadset.leads import LEADS
from leadset.plots import Finding, SheetOptions, draw_measured_sheet, findings_of
from leadset.recordings import Recording
from leadset.serve import answers, problems
from leadset.serve.metrics import MEDIA_TYPE, Metrics
from leadset.serve.problems import Problem, answer_problem
from leadset.serve.seeds import seed_routes
from leadset.serve.uploads import Samples, bad_json, recording_of_files, recording_of_samples
from leadset.serve.work import Work
from leadset.simulate import SimulatedStream

STATIC = Path(__file__).parent / "static"
NO_DEVICE = "For research. Not a medical device: no diagnosis or treatment may rest on its answers."
_KEY = APIKeyHeader(name="X-API-Key", auto_error=False)
_MOST_FIELDS = 16
_EXAMPLE_RATE = 500.0
#: The page loads nothing from anywhere else.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:",
    "X-Content-Type-Options": "nosniff",
}
Method = Literal["typical", "eg", "ig", "occlusion"]
SheetFormat = Literal["png", "svg", "pdf"]
SheetLayout = Literal["3x4", "6x2", "12x1", "strip"]
_MEDIA: dict[str, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
_PICTURES: dict[int | str, dict[str, Any]] = {200: {"content": {media: {} for media in _MEDIA.values()}}}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/json": {"schema": Samples.model_json_schema()},
        },
    }
}


class _Watched:
    """Counts requests and their duration, and ends bodies that are longer than allowed."""

    def __init__(self, app: ASGIApp, limits: Serve, metrics: Metrics) -> None:
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, taken = time.perf_counter(), 500, 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limits.upload_mb * 1e6:
                raise problems.too_large(f"found more than {self.limits.upload_mb:g} MB, expected at most that")
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, counted, noted)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - started)


def create_app(entry: Entry, limits: Serve, api_key: str = "") -> FastAPI:
    """The application, to be run by any ASGI server.

    Args:
        entry: answers recordings; its networks of twelve leads are loaded when the server starts.
        limits: what it takes from clients.
        api_key: what clients must send as ``X-API-Key``; empty: nothing.
    """
    metrics = Metrics()
    work = Work(entry, limits, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await work.start()
        await work.predict(_example())
        yield
        await work.stop()

    app = FastAPI(
        title="Leadset", version=leadset.__version__, description=NO_DEVICE, lifespan=lifespan, docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.state.work = work
    app.add_middleware(_Watched, limits=limits, metrics=metrics)
    app.add_exception_handler(Problem, answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_parameters)
    key = [Depends(_key_check(api_key))]
    app.include_router(_routes(work), dependencies=key)
    app.include_router(seed_routes(work), dependencies=key)
    _add_open_routes(app, metrics)
    return app


def _example() -> Recording:
    """A simulated recording: answering it loads networks and libraries before the first client comes."""
    signal, _ = next(zip(*next(SimulatedStream(1, fs=_EXAMPLE_RATE)), strict=True))
    return Recording(signal, _EXAMPLE_RATE, LEADS)


def _key_check(api_key: str) -> Callable[..., None]:
    async def check(given: Annotated[str | None, Depends(_KEY)]) -> None:
        if api_key and not hmac.compare_digest((given or "").encode(), api_key.encode()):
            raise Problem(401, "unauthorised", "The API key is missing or wrong", "expected it in the header X-API-Key")

    return check


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    """Errors of the framework in the form of all others."""
    assert isinstance(error, HTTPException)
    code = f"http_{error.status_code}"
    return Problem(error.status_code, code, "The request is not well formed", str(error.detail)).response()


async def _answer_parameters(request: Request, error: Exception) -> JSONResponse:
    """What the framework says of a parameter; its own text names files of the server."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    expected = fault["msg"].removeprefix("Input should be ")
    return problems.bad_parameter(f"{fault['loc'][-1]}: found {fault['input']!r}, expected {expected}").response()


async def received(request: Request, work: Work) -> Recording:
    """The recording of a request: files of a form, or JSON.

    Raises:
        Problem: the body is neither, or no recording.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    names = work.entry.lead_names
    if kind == "application/json":
        try:
            samples = Samples.model_validate_json(await request.body())
        except ValidationError as error:
            raise bad_json(_first_fault(error)) from None
        return await work.run(recording_of_samples, samples, names, work.limits)
    if kind == "multipart/form-data":
        return await work.run(recording_of_files, await uploaded_files(request), names, work.limits)
    raise Problem(415, "media_type", "The body has another media type",
                  f"found {kind or 'none'}, expected multipart/form-data or application/json")  # fmt: skip


async def uploaded_files(request: Request) -> dict[str, bytes]:
    """Contents of the files of a form by the client's names.

    Raises:
        Problem: two files of one name.
        HTTPException: the form is damaged.
    """
    files: dict[str, bytes] = {}
    async with request.form(max_files=_MOST_FIELDS, max_fields=_MOST_FIELDS) as form:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                name = value.filename or "file"
                if name in files:
                    raise problems.unreadable(f"found two files named {name}, expected distinct names")
                files[name] = await value.read()
    return files


def _first_fault(error: ValidationError) -> str:
    """Where JSON does not fit and why; of many faults, the first."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(map(str, faults[0]["loc"])) or "body"
    if faults[0]["type"] == "extra_forbidden":
        return f"found the key {where!r}, expected keys out of {', '.join(Samples.model_fields)}"
    return f"{where}: {faults[0]['msg']}" + (f", and {len(faults) - 1} more" if len(faults) > 1 else "")


def drawn(recording: Recording, findings: Sequence[Finding], kind: str, layout: str) -> bytes:
    """A sheet as a file of a kind."""
    file = io.BytesIO()
    draw_measured_sheet(recording, SheetOptions(layout), answer=findings).savefig(file, format=kind)
    return file.getvalue()


def _routes(work: Work) -> APIRouter:
    """The endpoints that take recordings."""
    router = APIRouter(prefix="/v1", responses=problems.RESPONSES)

    @router.post("/predict", openapi_extra=_UPLOAD)
    async def predict(request: Request) -> answers.Prediction:
        """Probability and decision of every class, and the quality of the recording."""
        with work.request():
            answer = await work.predict(await received(request, work))
        return answers.Prediction(**plain_answer(answer, work.entry.space))

    @router.post("/delineate", openapi_extra=_UPLOAD)
    async def delineate(request: Request) -> answers.Marks:
        """P, QRS and T waves of every lead and beat, in samples of the upload; null is a missing mark."""
        with work.request():
            return await work.run(answers.delineated, await received(request, work))

    @router.post("/sheet", openapi_extra=_UPLOAD, response_class=Response, responses=_PICTURES)
    async def sheet(request: Request, format: SheetFormat = "png", layout: SheetLayout = "3x4") -> Response:
        """The recording on paper at its true size, with marks, measurements and the answer."""
        with work.request():
            recording = await received(request, work)
            findings = findings_of(await work.predict(recording), work.entry.space)
            return Response(await work.run(drawn, recording, findings, format, layout), media_type=_MEDIA[format])

    @router.post("/anomaly", openapi_extra=_UPLOAD)
    async def anomaly(request: Request) -> answers.Anomaly:
        """How far a recording is from normal ones, and where."""
        with work.request():
            return await work.run(answers.anomaly, work.entry, await received(request, work))

    @router.post("/explain", openapi_extra=_UPLOAD)
    async def explain(request: Request, classes: str = "", method: Method | None = None) -> dict[str, Any]:
        """What the answer rests on, by sample, lead and wave: of classes named with commas, or of the decided ones.

        Without a method it is the one by the recording's typical beat, or occlusion where baselines answer.
        """
        wanted = [name.strip() for name in classes.split(",") if name.strip()] or None
        with work.request():
            recording = await received(request, work)
            return await work.run(answers.explained, work.entry, recording, wanted, method)

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """The entry: lead sets, networks, classes, thresholds, and what they rest on."""
        return answers.described(work.entry)

    return router


def _add_open_routes(app: FastAPI, metrics: Metrics) -> None:
    """What needs no key: whether it is up, what it has counted, and the page."""

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the server is up."""
        return {"status": "ok", "version": leadset.__version__}

    @app.get("/metrics", response_class=Response)
    async def counted() -> Response:
        """Counts in the text form of Prometheus."""
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_HEADERS)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
