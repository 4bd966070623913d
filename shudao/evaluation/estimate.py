"""How much is covered, with its uncertainty, from samples of which each is good or not.

A place is covered by a carrier when the share of good samples reaches the goal's. With n samples
that share is known to some points only, so near the threshold a state is a guess, and guesses do
not cancel out: of many places a little below it some always look covered, by any of four carriers
all the more. So states are for lists; shares of a division are estimated here.

Empirical Bayes: how true shares are distributed among places is estimated from all places at once,
by non-parametric maximum likelihood on a grid (Kiefer and Wolfowitz 1956; by EM, Laird 1978);
given that and its own samples, a place has a chance of being covered. Carriers are good in the
same places, so the distribution of one is estimated in strata of what the others measured there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binom

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARES: Floats = np.concatenate([[0.0], ndtr(np.linspace(-4, 5, 181)), [1.0]])
"""The grid of true shares: finest near 0 and 1, where thresholds lie."""
STRATA = (0.05, 0.5, 0.8, 0.9, 0.95, 0.99)
"""Bounds of the best share of good samples among the other carriers."""
STEPS = 150
_Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """Covered places over all places: the estimate and its 95 % interval."""

    share: float
    low: float
    high: float
    measured: int
    places: int


def covered_chance(samples: Ints, good: Ints, share: float) -> Floats:
    """The chance that each place is covered by each carrier: (places, carriers).

    ``samples`` and ``good`` are (places, carriers); where nothing was measured the chance is 0.
    """
    chance = np.zeros(samples.shape)
    with np.errstate(invalid="ignore"):
        observed = np.where(samples > 0, good / samples, 0.0)
    for carrier in range(samples.shape[1]):
        others = np.delete(observed, carrier, axis=1).max(axis=1, initial=0.0)
        stratum = np.digitize(others, STRATA)
        for number in np.unique(stratum):
            rows = np.flatnonzero((stratum == number) & (samples[:, carrier] > 0))
            if len(rows):
                chance[rows, carrier] = _chance(samples[rows, carrier], good[rows, carrier], share)
    return chance


def _chance(samples: Ints, good: Ints, share: float) -> Floats:
    """Posterior of a true share at or above ``share``, for places of one distribution: (n,)."""
    pairs, of_place, count = np.unique(
        np.stack([samples, good], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    likelihood = binom.pmf(pairs[:, 1:], pairs[:, :1], SHARES[None, :])
    prior = np.full(len(SHARES), 1 / len(SHARES))
    for _ in range(STEPS):
        prior = prior * ((count / (likelihood @ prior)) @ likelihood) / len(samples)
    posterior = likelihood * prior
    at_least = posterior[:, share - 1e-9 <= SHARES].sum(axis=1) / posterior.sum(axis=1)
    return np.asarray(np.clip(at_least, 0, 1)[of_place.ravel()], np.float64)


def any_carrier(chance: Floats) -> Floats:
    """The chance that at least one carrier covers each place: (places,)."""
    return np.asarray(1 - np.prod(1 - chance, axis=1), np.float64)


def estimate(chance: Floats, places: int) -> Estimate | None:
    """The share of a division's ``places`` from the chances of those that were measured.

    Two uncertainties add: whether each measured place is covered, and which places were measured
    (a random part of a finite whole). None where nothing was measured.
    """
    measured = len(chance)
    if not measured:
        return None
    share = float(chance.mean())
    guessed = float((chance * (1 - chance)).sum()) / measured**2
    # As if one place more were covered and one more not (Agresti and Coull 1998): that all of a
    # few are covered does not say that all of the others are.
    likely = (float(chance.sum()) + 1) / (measured + 2)
    unseen = (1 - measured / places) * likely * (1 - likely) / measured
    margin = _Z_95 * (guessed + unseen) ** 0.5 + (0.5 / measured if guessed + unseen else 0.0)
    return Estimate(share, max(share - margin, 0.0), min(share + margin, 1.0), measured, places)
