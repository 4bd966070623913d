"""The OpenAPI document against the real service: whatever is asked, the answers keep to it."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import VILLAGE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 60
"""Of right requests to each route, and as many of wrong ones."""

limited = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture
def service(
    served: tuple[subprocess.Popen[str], int], measured: datetime
) -> Iterator[httpx.Client]:
    """A client of the running service. Schemathesis' own cannot be used: with niquests comes
    another urllib3.
    """
    with httpx.Client(base_url=f"http://127.0.0.1:{served[1]}") as client:
        yield client


@pytest.fixture
def document(service: httpx.Client) -> BaseSchema:
    """What the service says of itself."""
    return schemathesis.openapi.from_dict(service.get("/openapi.json").json())


def checked(service: httpx.Client, case: Case) -> int:
    """Send a request and check the answer against the document; its status."""
    request = case.as_transport_kwargs(base_url=str(service.base_url))
    request.pop("cookies", None)
    response = service.request(**request)
    case.validate_response(response, checks=CHECKS)
    return response.status_code


def test_answers_keep_to_the_document(service: httpx.Client, document: BaseSchema) -> None:
    """No failure of the server, no status, type or body that the document does not have."""
    statuses: dict[str, set[int]] = defaultdict(set)
    for found in document.get_all_operations():
        operation = found.ok()
        modes = [GenerationMode.POSITIVE]
        if operation.query or operation.path_parameters:
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:

            @limited
            @given(case=operation.as_strategy(generation_mode=mode))
            def answers(case: Case) -> None:
                statuses[case.operation.path].add(checked(service, case))

            answers()
    assert len(statuses) == 5
    assert statuses["/v1/goals/{goal_id}/progress"] == {404, 422}, "no goal is met by chance"


@pytest.mark.parametrize(
    ("path", "parameters", "query"),
    [
        ("/v1/goals", {}, {"vintage": "2023-06-30"}),
        ("/v1/goals/{goal_id}/progress", {"goal_id": "village-fibre"}, {"division": "5134"}),
        ("/v1/goals/{goal_id}/progress", {"goal_id": "ipv6"}, {"carrier": "telecom"}),
        ("/v1/villages/{code}", {"code": VILLAGE}, {}),
    ],
)
def test_right_requests_are_answered_as_documented(
    service: httpx.Client,
    document: BaseSchema,
    path: str,
    parameters: dict[str, str],
    query: dict[str, str],
) -> None:
    """Numbers, states and devices that are there fit their schemas as well."""
    case = document[path]["GET"].Case(path_parameters=parameters, query=query)
    assert checked(service, case) == 200


@pytest.mark.parametrize(
    ("division", "says"),
    [
        ("\0", "match pattern"),
        ("成\0都", "match pattern"),
        ("", "at least 1"),
        ("区" * 41, "at most 40"),
    ],
    ids=["NUL", "NUL inside", "empty", "too long"],
)
def test_text_that_names_no_division_is_refused(
    service: httpx.Client, division: str, says: str
) -> None:
    """The caller's fault, not the database's: 422, and the parameter is named."""
    response = service.get("/v1/goals/ipv6/progress", params={"division": division})
    assert response.status_code == 422
    [wrong] = response.json()["errors"]
    assert wrong["parameter"] == "division"
    assert says in wrong["message"]
