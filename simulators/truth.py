"""The world's true state for each goal: computed from the model, never from samples.

The share of good samples of a place follows in closed form: RSRP is normal around the mean of the
place (so "no cell" is simply a very low RSRP), SINR is the smaller of a thermal and an
interference-limited one; download is the line's rate times a normal ratio. A place is covered by
a carrier when that share reaches the goal's; it is covered by any when one of the four covers it.
"""

from __future__ import annotations

import msgspec
import numpy as np
from scipy.special import ndtr

from shudao.goals import Criteria, Goal
from shudao.vocabulary import Carrier, Technology
from simulators import constants as c
from simulators.draws import Floats
from simulators.places import Bools, Places
from simulators.propagation import NOISE_DBM
from simulators.world import World


class Truth(msgspec.Struct, frozen=True):
    """Covered places of one goal: in all, by any carrier, and by each of the four."""

    goal: str
    places: int
    covered_any: int
    covered_by: dict[str, int]

    @property
    def share_any(self) -> float:
        """Covered by any carrier, as a fraction; 0 when there are no places."""
        return self.covered_any / self.places if self.places else 0.0

    def share_by(self, carrier: Carrier) -> float:
        """Covered by one carrier, as a fraction."""
        return self.covered_by[carrier.name.lower()] / self.places if self.places else 0.0


def true_coverage(world: World, goal: Goal, division: str = "51") -> Truth:
    """How many of the goal's places in a division (code of any length) are truly covered."""
    rows = counted_places(world, goal) & _inside(world.places, division)
    covered = covered_places(world, goal)[rows]
    by = {carrier.name.lower(): int(covered[:, carrier - 1].sum()) for carrier in Carrier}
    return Truth(goal.id, int(rows.sum()), int(covered.any(axis=1).sum()), by)


def _inside(places: Places, division: str) -> Bools:
    codes = np.where(places.is_segment, places.county.astype(str), places.code)
    return np.strings.startswith(codes, division)


def counted_places(world: World, goal: Goal) -> Bools:
    """Which places the goal counts; an information station stands for its village."""
    places, kind = world.places, goal.places.kind
    if kind == "station":
        return places.is_village.copy()
    if kind != "village" or goal.places.subkinds is None:
        return np.asarray(places.kind == kind)
    of_subkind = {
        "village": places.is_village,
        "community": places.is_community,
        "special": places.is_settled & ~(places.is_village | places.is_community),
    }
    return np.asarray(np.any([of_subkind[s] for s in goal.places.subkinds], axis=0), np.bool_)


def covered_places(world: World, goal: Goal) -> Bools:
    """Whether each place is covered, by carrier: shape (places, 4)."""
    return good_share(world, goal) >= goal.criteria.share


def good_share(world: World, goal: Goal) -> Floats:
    """The expected share of good samples at each place, by carrier: shape (places, 4).

    A carrier has one fixed line at a place: one whose tests cannot be good has a share of 0.

    A probe of several radio technologies sends as many samples of each, hence the mean.
    """
    technologies = [Technology(i) for i in goal.evidence.good_ids]
    if goal.evidence.stream == "broadband":
        return _good_tests(world, goal.criteria, technologies)
    shares = [_good_signal(world, goal.criteria, t) for t in technologies if t in world.layers]
    return np.mean(shares, axis=0) if shares else np.zeros((len(world.places), len(Carrier)))


def _good_signal(world: World, criteria: Criteria, technology: Technology) -> Floats:
    assert criteria.rsrp_dbm is not None, "a radio goal has an RSRP threshold"
    layer = world.layers[technology]
    if criteria.sinr_db is None:
        return ndtr((layer.rsrp_dbm - criteria.rsrp_dbm) / c.FADING_DB)
    needed_rsrp = max(criteria.rsrp_dbm, criteria.sinr_db + NOISE_DBM)
    strong = ndtr((layer.rsrp_dbm - needed_rsrp) / c.FADING_DB)
    clean = ndtr((layer.sinr_db - criteria.sinr_db) / layer.model.sinr_db[2])
    return strong * clean


def _good_tests(world: World, criteria: Criteria, technologies: list[Technology]) -> Floats:
    fixed = world.fixed
    evidence = np.isin(fixed.technology, technologies)
    if criteria.ipv6:
        return np.where(evidence, fixed.ipv6_share, 0.0)
    assert criteria.down_mbps is not None, "a broadband goal has a speed or IPv6"
    mean, deviation = c.RATE_RATIO
    with np.errstate(divide="ignore"):
        needed = criteria.down_mbps / fixed.rate_mbps
    return np.where(evidence, ndtr((mean - needed) / deviation), 0.0)
