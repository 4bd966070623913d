"""Bring rows with equal keys together: the one sort behind roll-ups, duplicates and the ledger."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ingest.batch import Ints


def group(keys: list[Ints]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """An order of the rows that brings equal keys together, and where in it each group starts.

    ``keys`` are (n,), n > 0, the first one most significant; groups are in the order of the keys,
    and rows of a group in their own.
    """
    one = _as_one(keys)
    order = np.lexsort(keys[::-1]) if one is None else np.argsort(one, kind="stable")
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for key in keys if one is None else [one]:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return order, np.flatnonzero(new)


def _as_one(keys: list[Ints]) -> Ints | None:
    """The keys as digits of one number, which sorts faster; None where they do not fit 63 bits."""
    least = [int(key.min()) for key in keys]
    spans = [int(key.max()) - low + 1 for key, low in zip(keys, least, strict=True)]
    if math.prod(spans) >= 2**63:
        return None
    one = np.zeros(len(keys[0]), np.int64)
    for key, low, span in zip(keys, least, spans, strict=True):
        one = one * span + (key - low)
    return one
