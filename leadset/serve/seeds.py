"""Two older contracts, in their own shapes, for pages that were written against them.

- ``POST /predict/`` with ``hea_file`` and ``dat_file``: ``predictions`` and ``signals``, or ``detail`` on failure. It
  was meant for a classifier of single beats; this kit classifies recordings, so ``predictions`` are the diagnoses that
  are decided, and ``signals`` the samples of each lead around the first beat, in millivolts.
- ``POST /analyze_ecg`` with ``mat_file`` and ``hea_file``: ``success``, ``probabilities``, ``primary_diagnosis`` and
  ``summary``, or ``error`` on failure. The probabilities are those of the entry's classes, calibrated.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from leadset.entry import Answer
from leadset.recordings import Recording
from leadset.serve.answers import plain_numbers
from leadset.serve.problems import RESPONSES, Problem
from leadset.serve.uploads import recording_of_files
from leadset.serve.work import Work
from leadset.waves import delineate

#: Seconds around an R peak that are one beat.
_BEFORE_S, _AFTER_S = 0.25, 0.45


def _form(*fields: str) -> dict[str, Any]:
    """What the OpenAPI document says of a form with these files."""
    properties = {field: {"type": "string", "format": "binary"} for field in fields}
    schema = {"type": "object", "required": list(fields), "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


class Detail(BaseModel):
    """What ``/predict/`` says on failure."""

    detail: str


class Failure(BaseModel):
    """What ``/analyze_ecg`` says on failure."""

    success: Literal[False]
    error: str


def _responses(body: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of failures: those of all endpoints, all but the key's with this body."""
    own = {"application/json": {"schema": body.model_json_schema()}}
    return {status: said if status == 401 else {**said, "content": own} for status, said in RESPONSES.items()}


async def _answered(request: Request, work: Work, fields: tuple[str, ...]) -> tuple[Recording, Answer]:
    """The recording in the fields of a form, and the entry's answer.

    Raises:
        Problem: a field is missing, or what is uploaded is no recording.
        HTTPException: the form is damaged.
    """
    files = {}
    async with request.form(max_files=len(fields), max_fields=len(fields)) as form:
        for field in fields:
            value = form.get(field)
            if not isinstance(value, UploadFile):
                raise Problem(400, "missing_file", "A file is missing", f"found no file {field}, expected one")
            files[value.filename or field] = await value.read()
    recording = await work.run(recording_of_files, files, work.entry.lead_names, work.limits)
    return recording, await work.predict(recording)


def first_beat(recording: Recording) -> list[list[float | None]]:
    """Samples (leads, samples) in millivolts around the first R peak; of a recording without beats, none."""
    peaks = delineate(recording.signal, recording.fs).r_peaks
    if not len(peaks):
        return [[] for _ in recording.leads]
    start = max(0, round(peaks[0] - _BEFORE_S * recording.fs))
    beat = recording.signal[:, start : round(peaks[0] + _AFTER_S * recording.fs)]
    return plain_numbers(beat, 4)


def seed_routes(work: Work) -> APIRouter:
    """Both endpoints."""
    router = APIRouter()

    @router.post("/predict/", openapi_extra=_form("hea_file", "dat_file"), responses=_responses(Detail))
    async def predict(request: Request) -> JSONResponse:
        """The diagnoses that are decided, and the samples of the first beat."""
        try:
            with work.request():
                recording, answer = await _answered(request, work, ("hea_file", "dat_file"))
                beat = await work.run(first_beat, recording)
        except Problem as problem:
            return JSONResponse({"detail": problem.detail}, problem.status)
        except HTTPException as error:
            return JSONResponse({"detail": str(error.detail)}, error.status_code)
        if answer.failed:
            return JSONResponse({"detail": answer.flags[-1]}, 422)
        return JSONResponse({"predictions": decided(answer, work), "signals": beat})

    @router.post("/analyze_ecg", openapi_extra=_form("mat_file", "hea_file"), responses=_responses(Failure))
    async def analyze(request: Request) -> JSONResponse:
        """Probabilities, and the likeliest diagnosis in a sentence."""
        try:
            with work.request():
                _, answer = await _answered(request, work, ("hea_file", "mat_file"))
        except Problem as problem:
            return JSONResponse({"success": False, "error": problem.detail}, problem.status)
        except HTTPException as error:
            return JSONResponse({"success": False, "error": str(error.detail)}, error.status_code)
        if answer.failed:
            return JSONResponse({"success": False, "error": answer.flags[-1]}, 422)
        return JSONResponse(analysis(answer, work))

    return router


def decided(answer: Answer, work: Work) -> list[str]:
    """Abbreviations of the diagnoses that are decided."""
    return [name for name, label in zip(work.entry.space.abbreviations, answer.labels, strict=True) if label]


def analysis(answer: Answer, work: Work) -> dict[str, Any]:
    """An answer in the shape of ``/analyze_ecg``: the primary diagnosis is the likeliest one."""
    space, probabilities = work.entry.space, answer.probabilities
    best = int(probabilities.argmax())
    diagnosis, probability = space.classes[best], float(probabilities[best])
    return {
        "success": True,
        "probabilities": {
            name: round(float(p), 6) for name, p in zip(space.abbreviations, probabilities, strict=True)
        },
        "primary_diagnosis": {
            "abbreviation": diagnosis.abbreviation, "name": diagnosis.name, "probability": round(probability, 6)
        },
        "summary": f"Primary finding: {diagnosis.name} ({100 * probability:.1f}% confidence)",
    }  # fmt: skip
