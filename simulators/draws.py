"""Random numbers that depend on what they are for, not on the order in which they are drawn.

A draw is a function of the seed, a label and integer keys (a village's code, a carrier, an
instant). So a village is the same in the whole province and in a small sample of it, and a
device sends the same bytes however fast, in which order and beside whom it is simulated. numpy's
generators are sequential, hence this small counter-based one: the finaliser of SplitMix64
(Steele, Lea, Flood 2014), once for each key.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def text_key(text: str) -> int:
    """A 64-bit key for a text: the number itself where it is all digits, else a hash of it."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


class Draws:
    """Draws of one seed. ``keys`` are integer arrays (or numbers) that broadcast together."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def bits(self, label: str, *keys: ArrayLike) -> Keys:
        """64 random bits for each combination of keys."""
        state: Any = np.array([text_key(f"{self.seed}/{label}")], np.uint64)
        with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
            for key in keys:
                state = _mix((state ^ np.asarray(key).astype(np.uint64)) + _GOLDEN)
        return np.asarray(state, np.uint64)

    def uniform(self, label: str, *keys: ArrayLike) -> Floats:
        """Uniform in the open interval (0, 1)."""
        top = self.bits(label, *keys) >> np.uint64(12)
        return (top.astype(np.float64) + 0.5) * 2.0**-52

    def normal(self, label: str, *keys: ArrayLike) -> Floats:
        """Standard normal, by Box and Muller."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(f"{label}/radius", *keys)))
        angle = 2.0 * np.pi * self.uniform(f"{label}/angle", *keys)
        return np.asarray(radius * np.cos(angle), np.float64)
