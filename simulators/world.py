"""A seeded world: what each place would measure, by carrier, before any device is there.

Every array has the shape (places, 4), columns in the order of `Carrier`. The distance to the
nearest site is that of a Poisson field of sites whose density follows the density of villages:
``sqrt(-ln(u) / (pi * density))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shudao.vocabulary import Carrier, Technology
from simulators import constants as c
from simulators.constants import LayerModel
from simulators.draws import Draws, Floats
from simulators.places import Bools, Ints, Places
from simulators.propagation import Environment, okumura_hata, uma_nlos

CARRIERS = np.array(list(Carrier), np.int64)
_P95 = 1.6449
_KM_PER_DEGREE = 111.2
_CELL_DEGREES = 0.1


@dataclass(frozen=True)
class Layer:
    """Means of one radio layer: RSRP in dBm (-inf where the carrier has no such layer) and the
    SINR in dB that interference allows."""

    model: LayerModel
    rsrp_dbm: Floats
    sinr_db: Floats


@dataclass(frozen=True)
class FixedAccess:
    """Fixed lines: technology id (0: no line), rate in Mbit/s, share of tests over IPv6."""

    technology: Ints
    rate_mbps: Floats
    ipv6_share: Floats


@dataclass(frozen=True)
class World:
    """The places of a province and the truth about them."""

    seed: int
    draws: Draws
    places: Places
    layers: dict[Technology, Layer]
    fixed: FixedAccess


def build_world(places: Places, seed: int) -> World:
    """The world of a seed: the same for the same places, whatever their order."""
    draws = Draws(seed)
    density = villages_per_km2(places)
    layers = {t: _layer(model, places, density, draws) for t, model in c.LAYERS.items()}
    return World(seed, draws, places, layers, _fixed_access(places, draws))


def villages_per_km2(places: Places) -> Floats:
    """Density of settlement around each place, over a 3 x 3 block of cells of 0.1 degrees."""
    x = np.floor(places.lon / _CELL_DEGREES).astype(np.int64)
    y = np.floor(places.lat / _CELL_DEGREES).astype(np.int64)
    x, y = x - x.min() + 1, y - y.min() + 1
    counts = np.zeros((int(x.max()) + 2, int(y.max()) + 2))
    np.add.at(counts, (x, y), ~places.is_segment)
    block = np.sum([counts[x + i, y + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
    area = (3 * _CELL_DEGREES * _KM_PER_DEGREE) ** 2 * np.cos(np.radians(places.lat))
    return np.asarray(np.maximum(block / area, c.FEWEST_VILLAGES_PER_KM2), np.float64)


def _layer(model: LayerModel, places: Places, density: Floats, draws: Draws) -> Layer:
    name, key = model.technology.name, places.key[:, None]
    distance = _site_distance(model, places, density, draws)
    loss = np.stack(
        [_path_loss(model, places, distance[:, i], f) for i, f in enumerate(model.frequency_mhz)],
        axis=1,
    )
    rsrp = model.power_dbm - loss + _shadowing(name, places, draws)
    has_layer = draws.uniform(f"{name}/county", places.county[:, None], CARRIERS) < np.array(
        model.county_share
    )
    mean, deviation, _ = model.sinr_db
    sinr = mean + deviation * draws.normal(f"{name}/sinr", key, CARRIERS)
    return Layer(model, np.where(has_layer, np.minimum(rsrp, -44.0), -np.inf), sinr)


def _site_distance(model: LayerModel, places: Places, density: Floats, draws: Draws) -> Floats:
    """Kilometres to the nearest site; infinite where a carrier has none."""
    per_village = np.where(
        places.is_community[:, None], model.sites_per_community, model.sites_per_village
    )
    per_village = np.where(places.is_segment[:, None], model.sites_along_roads, 1) * per_village
    sites_per_km2 = per_village * density[:, None]
    u = draws.uniform(f"{model.technology.name}/site", places.key[:, None], CARRIERS)
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(-np.log(u) / (np.pi * sites_per_km2)), np.float64)


def _path_loss(model: LayerModel, places: Places, distance: Floats, frequency: float) -> Floats:
    if not model.uses_hata:
        return uma_nlos(distance, frequency)
    environment: Environment = model.village_environment
    settled = okumura_hata(distance, frequency, environment)
    along_road = okumura_hata(distance, frequency, "open") + c.VEHICLE_LOSS_DB
    return np.where(places.is_segment, along_road, settled)


def _shadowing(name: str, places: Places, draws: Draws) -> Floats:
    """Deviation from the median path loss; positive is stronger signal."""
    key = places.key[:, None]
    shared = c.SHADOW_SHARED_DB * draws.normal("shadow", key)
    shared += places.is_mountain[:, None] * (
        c.MOUNTAIN_SHADOW_DB * draws.normal("mountain", key) - c.MOUNTAIN_LOSS_DB
    )
    return np.asarray(shared + c.SHADOW_OWN_DB * draws.normal(f"{name}/shadow", key, CARRIERS))


def _fixed_access(places: Places, draws: Draws) -> FixedAccess:
    key = places.key[:, None]
    copper = draws.uniform("copper", key) < c.COPPER_SHARE
    other = np.where(copper, int(Technology.DSL), int(Technology.SATELLITE))
    other = np.where(CARRIERS == Carrier.TELECOM, other, 0)
    technology = np.where(_has_fibre(places, draws), int(Technology.FTTP), other)
    technology[places.is_segment] = 0
    tier = np.searchsorted(np.cumsum(c.TIER_SHARES)[:-1], draws.uniform("tier", key, CARRIERS))
    dsl = lognormal(draws.normal("dsl", key, CARRIERS), *c.DSL_MBPS)
    rate = np.select(
        [technology == Technology.FTTP, technology == Technology.DSL, technology > 0],
        [np.array(c.TIERS_MBPS)[tier], dsl, c.SATELLITE_MBPS],
    )
    ipv6_on = draws.uniform("ipv6", key, CARRIERS) < np.array(c.IPV6_ON_SHARE)
    return FixedAccess(technology, rate, np.where(ipv6_on, *c.IPV6_TESTS))


def _has_fibre(places: Places, draws: Draws) -> Bools:
    """A place gets a carrier's fibre where its remoteness is below the carrier's share of reach."""
    key = places.key[:, None]
    remoteness = np.sqrt(c.REMOTENESS) * draws.normal("remoteness", key) + np.sqrt(
        1 - c.REMOTENESS
    ) * draws.normal("fibre", key, CARRIERS)
    share = np.where(places.is_mountain[:, None], c.FIBRE_SHARE_MOUNTAIN, c.FIBRE_SHARE)
    return np.asarray(normal_cdf(remoteness) < share)


def lognormal(z: Floats, median: float, p95: float) -> Floats:
    """Turn standard normal draws into a log-normal with this median and 95th percentile."""
    return np.asarray(median * np.exp(z * np.log(p95 / median) / _P95), np.float64)


def normal_cdf(x: Floats) -> Floats:
    """Standard normal distribution function (numpy has none; Abramowitz and Stegun 7.1.26,
    error below 1.5e-7)."""
    a = np.abs(x) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * a)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    upper = 0.5 * series * np.exp(-(a**2))
    return np.asarray(np.where(x < 0, upper, 1 - upper), np.float64)
