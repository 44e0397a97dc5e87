"""The API against its own OpenAPI document: requests made of it, sound and unsound, get documented answers."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
schemathesis = pytest.importorskip("schemathesis", reason="the extra test is not installed")

from fastapi.testclient import TestClient  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis.checks import load_all_checks, not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from leadset.config import default_config  # noqa: E402
from leadset.entry import load_entry  # noqa: E402
from leadset.serve.api import create_app  # noqa: E402

load_all_checks()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Requests made for each endpoint.
REQUESTS = 12


@pytest.fixture(scope="module")
def schema():
    """The document of a running server."""
    app = create_app(load_entry(), default_config().serve)
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


def test_requests_made_of_the_document_get_documented_answers(schema):
    asked = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @settings(max_examples=REQUESTS, derandomize=True, deadline=None, database=None,
                      phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                response = case.call()
                asked.add((case.path, response.status_code))
                case.validate_response(response, checks=CHECKS)

            try:
                ask()
            except schemathesis.errors.InvalidSchema:
                raise
            except Exception as error:
                if "Unsatisfiable" not in type(error).__name__:  # nothing can be wrong with a request without content
                    raise
    assert {path for path, _ in asked} >= {"/v1/predict", "/v1/delineate", "/v1/models", "/predict/", "/health"}
    assert {status for _, status in asked} >= {200, 422}
