"""One village over HTTP: where it is, how it is covered, who measures it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from api.models import Village
from tests.api.conftest import VILLAGE


async def _village(client: httpx.AsyncClient, code: str, vintage: str = "2018-10-31") -> Village:
    response = await client.get(f"/v1/villages/{code}", params={"vintage": vintage})
    assert response.status_code == 200, response.text
    return Village.model_validate_json(response.content)


async def test_village_has_its_path_and_coordinates(client: httpx.AsyncClient) -> None:
    """From the province down; coordinates say that nobody surveyed them."""
    village = await _village(client, VILLAGE)
    assert [d.code for d in village.path] == ["51", "5134", "513425", "513425101", VILLAGE]
    assert [d.name for d in village.path[:3]] == ["四川省", "凉山彝族自治州", "会理县"]
    assert village.coordinates is not None
    assert village.coordinates.source == "synthetic"
    assert 101 < village.coordinates.lon < 103.5
    assert 26 < village.coordinates.lat < 27.5


async def test_states_carry_their_evidence(client: httpx.AsyncClient, measured: datetime) -> None:
    """Each goal of the village and each carrier, with samples, days, newest hour and since."""
    village = await _village(client, VILLAGE)
    states = {(state.goal, state.carrier): state for state in village.states}
    hour = measured.replace(minute=0, second=0, microsecond=0)
    fibre = states["village-fibre", "telecom"]
    assert (fibre.state, fibre.n, fibre.n_good, fibre.days) == ("covered", 6, 6, 3)
    assert (fibre.last_hour, fibre.since) == (hour, measured)
    assert states["village-fibre", "any"].state == "covered"
    assert states["ipv6", "telecom"].state == "uncovered"
    assert {goal for goal, _ in states} == {
        "nbiot-general", "village-fibre", "village-4g", "village-5g", "fixed-speed", "ipv6",
    }  # fmt: skip


async def test_what_was_never_measured_is_unknown(
    client: httpx.AsyncClient, measured: datetime
) -> None:
    """A carrier without samples is there, unknown, with no evidence."""
    village = await _village(client, VILLAGE)
    states = {(state.goal, state.carrier): state for state in village.states}
    mobile = states["village-fibre", "mobile"]
    assert (mobile.state, mobile.n, mobile.since) == ("unknown", 0, None)


async def test_devices_say_when_they_were_heard(
    client: httpx.AsyncClient, measured: datetime
) -> None:
    """A probe with its last measurement, and one that was never heard."""
    heard, silent = (await _village(client, VILLAGE)).devices
    assert (heard.name, heard.carrier, heard.technology, heard.samples) == (
        "ftth-1", "telecom", "fttp", 6,
    )  # fmt: skip
    assert heard.last_time is not None
    assert measured - heard.last_time < timedelta(hours=1)
    assert (silent.carrier, silent.last_time, silent.samples) == ("foreign", None, 0)


async def test_community_is_no_administrative_village(client: httpx.AsyncClient) -> None:
    """Goals that count administrative villages only leave a community out."""
    community = await _village(client, "510104020007")
    assert community.kind == "community"
    assert "village-fibre" not in {state.goal for state in community.states}


async def test_a_reused_code_names_its_other_meaning(
    client: httpx.AsyncClient, connection: asyncpg.Connection[Any]
) -> None:
    """Codes are re-used: the answer says what the code means in the other vintage."""
    reused = await connection.fetchrow(
        "SELECT code, old.name, new.name AS new_name FROM division old"
        " JOIN division new USING (code)"
        " WHERE old.vintage < new.vintage AND length(code) = 12 AND old.name <> new.name LIMIT 1"
    )
    assert reused is not None
    village = await _village(client, reused["code"])
    [other] = village.other_vintages
    assert village.name == reused["name"]
    assert (str(other.vintage), other.differs) == ("2023-06-30", True)
    assert other.path.endswith(reused["new_name"])


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("510104020999", 404, "no division has the code"),
        ("51010402000", 422, "code: String should match pattern"),
        ("51010402000x", 422, "code: String should match pattern"),
    ],
)
async def test_wrong_codes_get_a_problem_document(
    client: httpx.AsyncClient, code: str, status: int, says: str
) -> None:
    """An unknown code is not found, a malformed one is refused."""
    response = await client.get(f"/v1/villages/{code}")
    assert (response.status_code, says in response.json()["detail"]) == (status, True)
