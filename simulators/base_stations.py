"""Base stations: where a carrier has built them, since when, and which one serves a place.

They stand near villages, communities and roads, so their density is that of settlement; where few
people live, few stations are. A station belongs to the place that it was built for, hence a
village has the same stations in every world of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from shudao.vocabulary import Carrier
from simulators import constants as c
from simulators.constants import LayerModel
from simulators.draws import Draws, Floats, Keys
from simulators.places import Ints, Places
from simulators.rollout import first_months, progress

_EARTH_KM = 6371.0
_KM_PER_DEGREE = 111.2
NO_STATION = np.uint64(0)


@dataclass(frozen=True)
class BaseStations:
    """Of one layer of one carrier, as columns of one length."""

    key: Keys
    """Its identity: what its cell and its outages depend on."""
    lon: Floats
    lat: Floats
    month: Ints
    """On air from this month of the roll-out."""

    def __len__(self) -> int:
        return len(self.key)

    def nearest(self, places: Places, month: int) -> tuple[Floats, Keys]:
        """Distance in km from each place to the nearest that is on air, and which one that is.

        Infinite, and `NO_STATION`, where none is.
        """
        there = self.month <= month
        if not there.any():
            return np.full(len(places), np.inf), np.full(len(places), NO_STATION)
        tree = cKDTree(_on_sphere(self.lon[there], self.lat[there]))
        lon, lat, point = places.points
        found, nearest = tree.query(_on_sphere(lon, lat))
        distance, which = np.asarray(found)[point], np.asarray(nearest)[point]
        return np.maximum(distance, c.NEAREST_STATION_KM), self.key[there][
            np.asarray(which, np.int64)
        ]


def _on_sphere(lon: Floats, lat: Floats) -> NDArray[np.float64]:
    """Points in space, in km: the chord between two is as long as the way, within 0.01 %."""
    x, y = np.radians(lon), np.radians(lat)
    return _EARTH_KM * np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=1)


def build(
    model: LayerModel, carrier: Carrier, places: Places, density: Floats, draws: Draws
) -> BaseStations:
    """All that a carrier will have built by the end of the roll-out, and some that it will not.

    ``density`` is in villages per km2, by place.
    """
    name = f"{model.technology.name}/{carrier.name}"
    row, copy = _built_for(name, model, carrier, places, draws)
    key = draws.bits(f"{name}/station", places.key[row], copy)
    distance = np.minimum(c.STATION_SPREAD / np.sqrt(density[row]), c.STATION_FARTHEST_KM)
    distance = distance * np.sqrt(draws.uniform(f"{name}/distance", key))
    angle = 2 * np.pi * draws.uniform(f"{name}/angle", key)
    north = distance * np.sin(angle) / _KM_PER_DEGREE
    east = distance * np.cos(angle) / _KM_PER_DEGREE / np.cos(np.radians(places.lat[row]))
    return BaseStations(
        key=key,
        lon=places.lon[row] + east,
        lat=places.lat[row] + north,
        month=_on_air(name, model, carrier, places, row, key, draws),
    )


def _built_for(
    name: str, model: LayerModel, carrier: Carrier, places: Places, draws: Draws
) -> tuple[Ints, Ints]:
    """The place that each station is built for, and which of this place's stations it is."""
    expected = np.select(
        [places.is_segment, places.is_community],
        [model.stations_per_road_km[carrier - 1], model.stations_per_community[carrier - 1]],
        model.stations_per_village[carrier - 1],
    )
    expected = expected * np.where(places.is_segment & places.is_mountain, c.ROADS_MOUNTAIN, 1.0)
    has_layer = draws.uniform(f"{name}/county", places.county) < model.county_share[carrier - 1]
    count = np.floor(expected + draws.uniform(f"{name}/count", places.key)).astype(np.int64)
    count[~has_layer | ~(places.is_settled | places.is_segment)] = 0
    row = np.repeat(np.arange(len(places)), count)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)


def _on_air(
    name: str,
    model: LayerModel,
    carrier: Carrier,
    places: Places,
    row: Ints,
    key: Keys,
    draws: Draws,
) -> Ints:
    """The month of each station; communities come first."""
    counties, of_place = np.unique(places.county, return_inverse=True)
    reached = progress(counties, model.start[carrier - 1], draws, name)
    order = draws.uniform(f"{name}/order", key)
    order = np.where(places.is_community[row], order * c.COMMUNITIES_FIRST, order)
    return np.maximum(first_months(order, reached[of_place[row]]), model.first_month)
