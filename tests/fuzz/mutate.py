"""Changes of a payload that keep it well-formed, which changes of bytes hardly ever do."""

from __future__ import annotations

import json
import random
from typing import Any

import cbor2

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 255, -32768, 4294967295, 2**53, 2**63, -(2**63), 2**64, 10**30,
    0.5, -0.0, 1e308, -1e308, 1.7e9, 2**28 - 1, 1_735_689_600_000, "", "x", "\0", "1", "-95.5",
    "1" * 5_000, "nbiot", "dBW", "/4/0/0", "dev/4/0/13", "a b", [], {}, [[]], {"": {}}, [1], [None],
]  # fmt: skip
STRANGE_CBOR: list[Any] = [
    b"", b"\xff", float("nan"), float("inf"), cbor2.undefined, cbor2.CBORSimpleValue(99),
    cbor2.CBORTag(4, [-1, 905]), cbor2.CBORTag(4, [400, 1]), cbor2.CBORTag(1, 0), 10**400,
]  # fmt: skip


def structure(payload: bytes, seed: int) -> bytes | None:
    """The payload with one value of it changed; None where it is neither JSON nor CBOR."""
    rng = random.Random(seed)
    if 0x80 <= payload[0] <= 0x9F if payload else False:
        return _cbor(payload, rng)
    lines = payload.split(b"\n")
    at = rng.randrange(len(lines))
    for first, last in ((0, len(lines)), (at, at + 1)):  # all of it, else a line
        try:
            value = json.loads(b"\n".join(lines[first:last]))
        except (ValueError, RecursionError):
            continue
        changed = json.dumps(_changed(value, rng, STRANGE)).encode()
        return b"\n".join([*lines[:first], changed, *lines[last:]])
    return None


def _cbor(payload: bytes, rng: random.Random) -> bytes | None:
    try:
        value = cbor2.loads(payload, max_depth=20)
        return cbor2.dumps(_changed(value, rng, STRANGE + STRANGE_CBOR))
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RuntimeError):
        return None


def _changed(value: Any, rng: random.Random, strange: list[Any]) -> Any:
    """Walk down to some value, and replace, drop, double or rename it."""
    if not isinstance(value, list | dict) or not value or rng.random() < 0.05:
        return rng.choice(strange)
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return [*value[:at], *_instead(value[at], rng, strange), *value[at + 1 :]]
    key = rng.choice(list(value))
    others = {k: v for k, v in value.items() if k != key}
    found = _instead(value[key], rng, strange)
    if rng.random() < 0.1:
        key = rng.choice([str(key) + "_", "n", "v", "vs", "ts", "services", -1, 99])
        key = key if strange is not STRANGE else str(key)
    return others | ({key: found[-1]} if found else {})


def _instead(value: Any, rng: random.Random, strange: list[Any]) -> list[Any]:
    """What stands in a value's place."""
    choice = rng.random()
    if choice < 0.1:
        return []
    if choice < 0.2:
        return [value, value]
    if choice < 0.3:
        return [rng.choice(strange), value]
    return [_changed(value, rng, strange)]
