"""One village: where it is, its state for each goal and carrier, and who measures it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path

from api.models import (
    CarrierName,
    Coordinates,
    Device,
    DivisionModel,
    OtherVintage,
    PlaceState,
    Village,
    carrier_name,
)
from api.problems import ProblemError, problems
from api.requests import Database, Goals, Vintage
from shudao.errors import ShudaoError
from shudao.goals import Goal
from shudao.registry.load import Connection
from shudao.registry.lookup import describe
from shudao.registry.tree import LEVEL_OF_LENGTH
from shudao.vocabulary import Technology

router = APIRouter(prefix="/v1/villages", tags=["villages"])

_PLACES = """
SELECT place_id, kind, subkind, name FROM place
WHERE vintage = $1 AND kind = ANY('{village,station,site,wlan}') AND division = $2
ORDER BY kind DESC, code
"""
_STATES = """
SELECT goal, place_id, carrier_id, state, criteria, n, n_good, days, last_hour, since
FROM place_state WHERE goal = ANY($1::text[]) AND place_id = ANY($2::integer[])
"""
_DEVICES = """
SELECT name, carrier_id, technology_id, kind, interval_s, last_time, last_received,
       coalesce(samples, 0) AS samples
FROM device LEFT JOIN device_seen USING (device_id)
WHERE place_id = ANY($1::integer[]) ORDER BY name
"""

Record = dict[str, Any]


@router.get("/{code}", responses=problems(404, 422, 503), summary="One village and its evidence")
async def village(
    database: Database,
    goals: Goals,
    vintage: Vintage,
    code: Annotated[
        str, Path(pattern=r"^[0-9]{12}$", description="NBS code", examples=["510104020007"])
    ],
) -> Village:
    """A village (community, special unit), with the information station and sites in it."""
    try:
        found = await describe(database, code, str(vintage))
    except ShudaoError as error:
        raise ProblemError(404, str(error)) from error
    places = [dict(row) for row in await database.fetch(_PLACES, vintage, code)]
    return Village(
        vintage=vintage,
        code=code,
        name=found["name"],
        kind=found["kind"],
        path=_path(found),
        coordinates=_coordinates(found["place"]),
        states=await _states(database, goals, places),
        devices=await _devices(database, places),
        other_vintages=[
            OtherVintage(
                vintage=date.fromisoformat(other["vintage"]),
                path=other["path"],
                differs=other["differs"],
            )
            for other in found["other_vintages"]
        ],
    )


def _path(found: Record) -> list[DivisionModel]:
    nodes = [*found["ancestors"], found]
    return [
        DivisionModel(code=n["code"], name=n["name"], level=LEVEL_OF_LENGTH[len(n["code"])])
        for n in nodes
    ]


def _coordinates(place: Record | None) -> Coordinates | None:
    if place is None or place["lon"] is None:
        return None
    return Coordinates(
        lon=place["lon"],
        lat=place["lat"],
        source=place["coord_source"],
        precision_m=place["coord_precision_m"],
    )


async def _states(
    database: Connection, goals: tuple[Goal, ...], places: list[Record]
) -> list[PlaceState]:
    rows = await database.fetch(
        _STATES, [goal.id for goal in goals], [place["place_id"] for place in places]
    )
    stored = {(row["goal"], row["place_id"], row["carrier_id"]): dict(row) for row in rows}
    return [
        _state(goal, place, carrier, stored.get((goal.id, place["place_id"], carrier.id)))
        for goal, place in _counted(goals, places)
        for carrier in CarrierName
    ]


def _counted(goals: tuple[Goal, ...], places: list[Record]) -> Iterator[tuple[Goal, Record]]:
    """Each goal with each of the places that it counts."""
    for goal in goals:
        for place in places:
            counted = goal.places
            if counted.kind == place["kind"] and (
                counted.subkinds is None or place["subkind"] in counted.subkinds
            ):
                yield goal, place


def _state(goal: Goal, place: Record, carrier: CarrierName, row: Record | None) -> PlaceState:
    """The stored state; a place without one is unknown."""
    never = {
        "state": "unknown", "criteria": goal.criteria.version, "n": 0, "n_good": 0, "days": 0,
        "last_hour": None, "since": None,
    }  # fmt: skip
    evidence = never if row is None else {key: row[key] for key in never}
    return PlaceState(
        goal=goal.id,
        place_kind=place["kind"],
        place_name=place["name"],
        carrier=carrier,
        **evidence,
    )


async def _devices(database: Connection, places: list[Record]) -> list[Device]:
    rows = await database.fetch(_DEVICES, [place["place_id"] for place in places])
    return [
        Device(
            name=row["name"],
            carrier=carrier_name(row["carrier_id"]),
            technology=Technology(row["technology_id"]).name.lower(),
            kind=row["kind"],
            interval_s=row["interval_s"],
            last_time=row["last_time"],
            last_received=row["last_received"],
            samples=row["samples"],
        )
        for row in rows
    ]
