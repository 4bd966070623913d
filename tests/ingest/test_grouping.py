"""One sort brings equal keys together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.grouping import group

SMALL = st.integers(-3, 3)
ANY = st.integers(-(2**62), 2**62)


@given(st.lists(st.tuples(SMALL, SMALL) | st.tuples(ANY, ANY), min_size=1, max_size=40))
def test_groups_are_in_key_order_and_keep_the_order_of_arrival(rows: list[tuple[int, int]]) -> None:
    """Property, for keys that fit one number and for keys that do not: a stable sort by key."""
    keys = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    order, starts = group(keys)
    expected = sorted(range(len(rows)), key=lambda i: rows[i])
    assert order.tolist() == expected
    assert [rows[order[s]] for s in starts] == sorted(set(rows))
