"""A seeded world: what each place would measure, by carrier and month, before any device is there.

Every array has the shape (places, 4), columns in the order of `Carrier`. What does not change
(base stations, shadows, who gets fibre when) is the `Plan`; a `World` is how it stands in a month.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from shudao.vocabulary import Carrier, Technology
from simulators import constants as c
from simulators import propagation
from simulators.base_stations import NO_STATION, BaseStations, build
from simulators.constants import LayerModel
from simulators.draws import Draws, Floats, Keys
from simulators.field import gaussian_field
from simulators.places import Ints, Places
from simulators.rollout import LAST, first_months, progress

CARRIERS = np.array(list(Carrier), np.int64)
_P95 = 1.6449
_KM_PER_DEGREE = 111.2
_CELL_DEGREES = 0.1


@dataclass(frozen=True)
class Layer:
    """One radio layer in a month: mean RSRP in dBm (-inf where the carrier has no such layer), the
    SINR in dB that interference allows, and the base station that serves (`NO_STATION`: none)."""

    model: LayerModel
    rsrp_dbm: Floats
    sinr_db: Floats
    station: Keys


@dataclass(frozen=True)
class FixedAccess:
    """Fixed lines (and public WLAN) in a month: technology id (0: no line), rate in Mbit/s, share
    of tests over IPv6."""

    technology: Ints
    rate_mbps: Floats
    ipv6_share: Floats


@dataclass(frozen=True)
class Plan:
    """What will be built, and what stands in the way: the part of a world that has no month."""

    draws: Draws
    places: Places
    stations: dict[Technology, list[BaseStations]]
    """By carrier."""
    shadow_db: dict[Technology, Floats]
    """Deviation from the median path loss; positive is stronger signal."""
    line_month: Ints
    """When a place gets a carrier's fibre, or its WLAN."""
    ipv6_month: Ints


@dataclass(frozen=True)
class World:
    """The places of a province and the truth about them in a month of the roll-out."""

    seed: int
    month: int
    plan: Plan
    layers: dict[Technology, Layer]
    fixed: FixedAccess

    @property
    def draws(self) -> Draws:
        """Of the seed."""
        return self.plan.draws

    @property
    def places(self) -> Places:
        """Rows of every array."""
        return self.plan.places

    def at(self, month: int) -> World:
        """The same world in another month."""
        return self if month == self.month else _in_month(self.plan, month)


def build_world(places: Places, seed: int, month: int = LAST) -> World:
    """The world of a seed: the same for the same places, whatever their order."""
    draws = Draws(seed)
    density = villages_per_km2(places)
    plan = Plan(
        draws,
        places,
        {t: [build(m, k, places, density, draws) for k in Carrier] for t, m in c.LAYERS.items()},
        _shadows(places, draws),
        _line_months(places, draws),
        _ipv6_months(places, draws),
    )
    return _in_month(plan, month)


def _in_month(plan: Plan, month: int) -> World:
    layers = {t: _layer(model, plan, month) for t, model in c.LAYERS.items()}
    return World(plan.draws.seed, month, plan, layers, _fixed_access(plan, month))


def villages_per_km2(places: Places) -> Floats:
    """Density of settlement around each place, over a 3 x 3 block of cells of 0.1 degrees."""
    x = np.floor(places.lon / _CELL_DEGREES).astype(np.int64)
    y = np.floor(places.lat / _CELL_DEGREES).astype(np.int64)
    x, y = x - x.min() + 1, y - y.min() + 1
    counts = np.zeros((int(x.max()) + 2, int(y.max()) + 2))
    np.add.at(counts, (x, y), places.is_settled)
    block = np.sum([counts[x + i, y + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
    area = (3 * _CELL_DEGREES * _KM_PER_DEGREE) ** 2 * np.cos(np.radians(places.lat))
    return np.asarray(np.maximum(block / area, c.FEWEST_VILLAGES_PER_KM2), np.float64)


def _layer(model: LayerModel, plan: Plan, month: int) -> Layer:
    places, draws, name = plan.places, plan.draws, model.technology.name
    rsrp, station = np.empty((len(places), 4)), np.empty((len(places), 4), np.uint64)
    for i, stations in enumerate(plan.stations[model.technology]):
        distance, station[:, i] = stations.nearest(places, month)
        rsrp[:, i] = model.power_dbm - _path_loss(model, plan, i, distance)
    rsrp += plan.shadow_db[model.technology]
    mean, deviation, _ = model.sinr_db
    sinr = mean + deviation * draws.normal(f"{name}/sinr", places.key[:, None], CARRIERS)
    on_air = station != NO_STATION
    return Layer(model, np.where(on_air, np.minimum(rsrp, -44.0), -np.inf), sinr, station)


def _path_loss(model: LayerModel, plan: Plan, carrier: int, distance_km: Floats) -> Floats:
    """By settlement class: town, countryside, road; behind walls at key sites. Of one carrier."""
    places, frequency = plan.places, model.frequency_mhz[carrier]
    if model.uses_hata:
        town = propagation.okumura_hata(distance_km, frequency, "urban")
        country = propagation.okumura_hata(distance_km, frequency, "suburban")
        road = propagation.okumura_hata(distance_km, frequency, "open")
    else:
        town = propagation.uma_nlos(distance_km, frequency)
        u = plan.draws.uniform(f"{model.technology.name}/sight", places.key, carrier)
        in_sight = u < propagation.rma_los_probability(distance_km)
        country = road = np.where(
            in_sight,
            propagation.rma_los(distance_km, frequency),
            propagation.rma_nlos(distance_km, frequency),
        )
    outdoors = np.select(
        [places.is_segment, places.is_village], [road + c.VEHICLE_LOSS_DB, country], town
    )
    return np.asarray(outdoors + _wall_loss(places, plan.draws, frequency), np.float64)


def _wall_loss(places: Places, draws: Draws, frequency_mhz: float) -> Floats:
    """dB between the street and the device: of key sites, else 0."""
    wall = float(propagation.building_entry_loss(frequency_mhz))
    loss = np.zeros(len(places))
    for kind, site in c.KEY_SITES.items():
        loss[places.subkind == kind] = wall * site.is_indoors + site.deeper_db
    spread = c.KEY_SITE_SPREAD_DB * draws.normal("depth", places.key)
    return np.where(places.is_site, np.maximum(loss + (loss > 0) * spread, 0.0), 0.0)


def _shadows(places: Places, draws: Draws) -> dict[Technology, Floats]:
    """Correlated in space: a hill for all carriers, gorges in the west, and each one's own."""
    lon, lat, point = places.points
    at = lon, lat
    shared = c.SHADOW_SHARED_DB * gaussian_field(draws, "hill", *at, c.SHADOW_SHARED_KM)
    gorge = gaussian_field(draws, "gorge", *at, c.MOUNTAIN_SHADOW_KM)[point]
    shared = shared[point]
    shared += places.is_mountain * (c.MOUNTAIN_SHADOW_DB * gorge - c.MOUNTAIN_LOSS_DB)
    own = {
        t: [
            gaussian_field(draws, f"{t.name}/{k.name}/shadow", *at, c.SHADOW_OWN_KM)
            for k in Carrier
        ]
        for t in c.LAYERS
    }
    return {
        t: shared[:, None] + c.SHADOW_OWN_DB * np.stack(fields, axis=1)[point]
        for t, fields in own.items()
    }


def _line_months(places: Places, draws: Draws) -> Ints:
    """When fibre comes: first where it is least remote. WLAN comes to its areas in any order."""
    key = places.key[:, None]
    remoteness = np.sqrt(c.REMOTENESS) * draws.normal("remoteness", key)
    remoteness = remoteness + np.sqrt(1 - c.REMOTENESS) * draws.normal("fibre", key, CARRIERS)
    share = np.where(places.is_mountain[:, None], c.FIBRE_SHARE_MOUNTAIN, c.FIBRE_SHARE)
    fibre = _months("fibre", ndtr(remoteness) / share, c.FIBRE_START, places, draws)
    order = draws.uniform("wlan", key, CARRIERS) / np.array(c.WLAN_SHARE)
    wlan = _months("wlan", order, (c.WLAN_START,) * 4, places, draws)
    return np.where(places.is_wlan[:, None], wlan, fibre)


def _ipv6_months(places: Places, draws: Draws) -> Ints:
    order = draws.uniform("ipv6", places.key[:, None], CARRIERS) / np.array(c.IPV6_ON_SHARE)
    return _months("ipv6", order, (c.IPV6_START,) * 4, places, draws)


def _months(label: str, order: Floats, start: c.PerCarrier, places: Places, draws: Draws) -> Ints:
    """First months by place and carrier; an order of 1 or more is never reached."""
    counties, of_place = np.unique(places.county, return_inverse=True)
    reached = [progress(counties, start[k - 1], draws, f"{label}/{k.name}") for k in Carrier]
    months = [first_months(order[:, i], r[of_place]) for i, r in enumerate(reached)]
    return np.stack(months, axis=1)


def _fixed_access(plan: Plan, month: int) -> FixedAccess:
    places, draws, key = plan.places, plan.draws, plan.places.key[:, None]
    there = plan.line_month <= month
    copper = draws.uniform("copper", key) < c.COPPER_SHARE
    other = np.where(copper, int(Technology.DSL), int(Technology.SATELLITE))
    other = np.where(CARRIERS == Carrier.TELECOM, other, 0)
    technology = np.where(there, int(Technology.FTTP), other)
    technology[~places.is_settled] = 0
    technology[places.is_wlan] = there[places.is_wlan] * int(Technology.WLAN)
    ipv6_on = plan.ipv6_month <= month
    return FixedAccess(
        technology, _rates(plan, technology, month), np.where(ipv6_on, *c.IPV6_TESTS)
    )


def _rates(plan: Plan, technology: Ints, month: int) -> Floats:
    """Mbit/s of each line; that of a fibre is its tier, which rises during the plan."""
    draws, key = plan.draws, plan.places.key[:, None]
    rank = draws.uniform("tier", key, CARRIERS)
    rank = rank * (c.SLOWER_START + (1 - c.SLOWER_START) * month / LAST)
    tier = np.searchsorted(np.cumsum(c.TIER_SHARES)[:-1], rank)
    drawn = draws.normal("dsl", key, CARRIERS)  # of a copper line, and of a WLAN area
    return np.select(
        [technology == t for t in (Technology.FTTP, Technology.DSL, Technology.WLAN)]
        + [technology > 0],
        [
            np.array(c.TIERS_MBPS)[tier],
            lognormal(drawn, *c.DSL_MBPS),
            lognormal(drawn, *c.WLAN_MBPS),
            c.SATELLITE_MBPS,
        ],
    )


def lognormal(z: Floats, median: float, p95: float) -> Floats:
    """Turn standard normal draws into a log-normal with this median and 95th percentile."""
    return np.asarray(median * np.exp(z * np.log(p95 / median) / _P95), np.float64)
