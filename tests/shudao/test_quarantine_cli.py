"""``shudao quarantine`` as an operator uses it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import psycopg
import pytest

from ingest.batch import Message
from ingest.ingester import Ingester
from shudao.cli import main
from shudao.cli.moments import parse_moment
from shudao.cli.payload_view import SHOWN_BYTES, readable
from shudao.errors import ShudaoError
from shudao.settings import get_settings

LATE = "shudao/v1/telecom/radio/late"


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    error: str


class Quarantine(Protocol):
    """Runs ``shudao quarantine`` with arguments."""

    def __call__(self, *arguments: str | int) -> Done: ...


@pytest.fixture
def quarantine(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Quarantine]:
    """The command in this process, on a database without registry or samples."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", empty_database_url)
    get_settings.cache_clear()

    def run(*arguments: str | int) -> Done:
        monkeypatch.setattr(sys, "argv", ["shudao", "quarantine", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return Done(code, *capsys.readouterr())

    yield run
    get_settings.cache_clear()


def send(url: str, *payloads: bytes | dict[str, Any], topic: str = LATE) -> None:
    """Through the ingester, as a source would."""
    now_ms = time.time_ns() // 1_000_000
    raw = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in payloads]

    async def run() -> None:
        ingester = Ingester(url, origin="mqtt")
        await ingester.store_messages([Message(topic, p, now_ms) for p in raw])
        await ingester.aclose()

    asyncio.run(run())


def sample(i: int = 0) -> dict[str, Any]:
    """A good one."""
    return {"time": time.time_ns() // 1_000_000 - i, "rsrp_dbm": -95}


def register(url: str) -> None:
    """The device that was unknown."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO device (name, carrier_id, technology_id, kind, source)"
            " VALUES ('late', 1, 1, 'sensor', 'registered')"
        )


def value(url: str, query: str) -> Any:
    """The one value of a query."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]


def test_an_operator_finds_mends_and_replays(
    quarantine: Quarantine, empty_database_url: str
) -> None:
    """List shows the reason, show the advice, dry-run the outcome; after the replay it is empty."""
    send(empty_database_url, sample(), sample(1))
    listed = quarantine("list")
    assert listed.out.count("unknown_device") == 3
    assert "no device 'late' is registered → register the device first" in listed.out
    [first, _] = json.loads(quarantine("list", "--json").out)["rows"]
    shown = quarantine("show", first["id"])
    assert "register the device first" in shown.out
    assert '\n  "rsrp_dbm": -95\n' in shown.out
    register(empty_database_url)
    dry = json.loads(quarantine("replay", "--all", "--dry-run", "--json").out)
    assert (dry["dry_run"], dry["left_quarantine"], dry["stored"]) == (True, 2, 2)
    replayed = json.loads(quarantine("replay", "--reason", "unknown_device", "--json").out)
    assert replayed.pop("seconds") > 0
    assert replayed.pop("rows_per_second") > 0
    assert replayed == {
        "dry_run": False, "complete": True, "replayed": 2, "left_quarantine": 2, "stored": 2,
        "duplicates": 0, "refused": {}, "parts_refused": {}, "left_alone_imported": 0,
        "left_alone_cut_off": 0,
    }  # fmt: skip
    assert value(empty_database_url, "SELECT sum(radio_n) FROM coverage_hour") == 2
    assert quarantine("list").out == "quarantine is empty\n"
    assert quarantine("replay", "--all").out == (
        "nothing in quarantine matches: nothing to replay\n"
    )


def test_refused_again_is_told_by_reason_and_exits_with_0(
    quarantine: Quarantine, empty_database_url: str
) -> None:
    """For people a table."""
    send(empty_database_url, sample(), {**sample(1), "rsrp_dbm": 9}, b"{")
    register(empty_database_url)
    done = quarantine("replay", "--all")
    assert done.code == 0
    table = {
        line.split("│")[1].strip(): line.split("│")[2].strip()
        for line in done.out.splitlines()
        if "│" in line
    }
    assert table["left quarantine"] == table["samples stored"] == "1"
    assert table["refused again: out_of_range"] == table["refused again: malformed"] == "1"


def test_list_says_how_many_more_there_are(quarantine: Quarantine, empty_database_url: str) -> None:
    """The counts are of all, the list is limited; --counts leaves it out."""
    send(empty_database_url, *[sample(i) for i in range(25)])
    listed = quarantine("list", "--carrier", "telecom", "--since", "2h")
    assert listed.out.count("register the device first") == 20
    assert "… and 5 more: " in listed.out
    counted = quarantine("list", "--counts")
    assert "register" not in counted.out
    [count] = json.loads(quarantine("list", "--counts", "--json").out)["counts"]
    assert (count["carrier"], count["reason"], count["rows"]) == ("telecom", "unknown_device", 25)
    assert quarantine("list", "--device", "").out == "nothing in quarantine matches\n"
    told = json.loads(quarantine("list", "--limit", 7, "--json").out)
    assert (told["total"], len(told["rows"])) == (25, 7)


def test_no_markup_and_no_escape_of_a_sender_reaches_the_terminal(
    quarantine: Quarantine, empty_database_url: str
) -> None:
    """A topic is shown as it is written; what a terminal would obey is shown as its code."""
    send(empty_database_url, b"\x1b[2J", topic="shudao/v1/telecom/radio/[red]a\x1b[2J\nb")
    for done in (quarantine("list"), quarantine("show", 1)):
        assert "[red]a\\x1b[2J\\nb" in done.out.replace("\n", "")
        assert "\x1b" not in done.out


def test_show_gives_the_payload_to_machines(
    quarantine: Quarantine, empty_database_url: str
) -> None:
    """As base64, and as text where it is text."""
    payload = b"\xff\x00{\r\n"
    send(empty_database_url, payload)
    told = json.loads(quarantine("show", 1, "--json").out)
    assert base64.b64decode(told["payload_base64"]) == payload
    assert (told["payload_text"], told["reason"], told["bytes"]) == (None, "malformed", 5)
    assert told["advice"].startswith("send one JSON object")


def test_raw_writes_the_bytes(empty_database_url: str) -> None:
    """Nothing before them and nothing behind."""
    payload = b"\xff\x00{\r\n"
    send(empty_database_url, payload)
    done = subprocess.run(
        [sys.executable, "-m", "shudao", "quarantine", "show", "1", "--raw"],
        env={**os.environ, "SHUDAO_DATABASE_URL": empty_database_url},
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == payload


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b'{"a":1.50,"b":[1e400]}', '{\n  "a": 1.50,\n  "b": [\n    1e400\n  ]\n}'),
        ("信号 weak\r\n".encode(), "信号 weak\\r\n"),
        (b"", "(empty)"),
        (b'{"a":"\x9b2J', '00000000  7b 22 61 22 3a 22 9b 32  4a                       {"a":".2J'),
        ('"\u202e"'.encode(), '"\\u202e"'),
        (b"[" * 5_000, "[" * 5_000),
    ],
)
def test_a_payload_is_readable(payload: bytes, shown: str) -> None:
    """JSON is indented with its numbers as sent, text is text, the rest is a dump."""
    assert readable(payload) == shown


@pytest.mark.parametrize(
    "payload", [b"\xe4\xbf\xa1" * 20_000, b"\xff" * 20_000, b"[" + b"1," * 9_999 + b"1]"]
)
def test_a_long_payload_is_cut_on_the_screen(payload: bytes) -> None:
    """And it says so."""
    shown = readable(payload)
    assert shown.endswith(f"\n… {len(payload):,} bytes: --raw writes them all")
    assert len(shown) < 6 * SHOWN_BYTES


def test_purge_asks_first(
    quarantine: Quarantine, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how many; no, or nobody there, deletes nothing."""
    send(empty_database_url, sample(), sample(1), b"{")
    said = "nothing was purged\n"
    for answer, ended, left in (
        ("n\n", (1, said), 3),
        ("", (1, said), 3),
        ("y\n", (0, "purged 2\n"), 1),
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        done = quarantine("purge", "--reason", "unknown_device")
        assert "Delete 2 refused samples for ever?" in done.error
        assert (done.code, done.out) == ended
        assert value(empty_database_url, "SELECT count(*) FROM quarantine") == left
    assert quarantine("purge", "--all", "--yes").out == "purged 1\n"
    assert quarantine("purge", "--all").out == "nothing in quarantine matches\n"


def test_purge_by_age_and_number(quarantine: Quarantine, empty_database_url: str) -> None:
    """What still comes is not old."""
    send(empty_database_url, sample(), sample(1))
    assert quarantine("purge", "--before", "30d", "--yes", "--json").out == '{"purged": 0}\n'
    assert quarantine("purge", 1, "--yes", "--json").out == '{"purged": 1}\n'
    assert quarantine("purge", "--before", "0s", "--yes", "--json").out == '{"purged": 1}\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--reason", "out_of_rage"], "no reason is called 'out_of_rage' → use one of top"),
        (["list", "--carrier", "vodafone"], "use one of unknown, telecom, mobile"),
        (["list", "--carrier", ""], "unknown carrier ''"),
        (["list", "--since", "yesterday"], "'yesterday' is no moment → write 90s, 5m, 2h or 3d"),
        (["list", "--device", "\udcff"], "--device '\\udcff' is not printable text"),
        (["show", "17"], "quarantine holds no 17 → it may have been replayed or purged"),
        (["replay"], "nothing says which to replay → give numbers or filters"),
        (["purge", "--yes"], "nothing says which to purge → give numbers or filters"),
        (["purge", "--all", "--carrier", "mobile"], "--all and a choice exclude each other"),
        (["purge", "--all", "--json"], "--json cannot ask → add --yes"),
    ],
)
def test_an_error_is_one_clear_line(
    quarantine: Quarantine, arguments: list[str], message: str
) -> None:
    """It says what is wrong and what to do, and exits with 1."""
    done = quarantine(*arguments)
    assert (done.code, done.out) == (1, "")
    [line] = done.error.splitlines()
    assert line.startswith("shudao: ")
    assert message in line


def test_moments_are_utc_and_durations_are_ago() -> None:
    """And what is neither is refused."""
    now = parse_moment("2026-05-01T08:00")
    assert now.isoformat() == "2026-05-01T08:00:00+00:00"
    assert parse_moment("2h", now).isoformat() == "2026-05-01T06:00:00+00:00"
    assert parse_moment("1.5d", now).isoformat() == "2026-04-29T20:00:00+00:00"
    assert parse_moment("2026-05-01T08:00+08:00").utcoffset() is not None
    for wrong in ("", "2", "99999999999d", "-1h", "2026-13-01"):
        with pytest.raises(ShudaoError, match="is no moment"):
            parse_moment(wrong)


@pytest.mark.parametrize("command", ["list", "show", "replay", "purge"])
def test_help_teaches_by_an_example(quarantine: Quarantine, command: str) -> None:
    """Of each command."""
    assert f"Example: shudao quarantine {command}" in quarantine(command, "--help").out


def test_a_killed_replay_loses_and_repeats_nothing(
    quarantine: Quarantine, empty_database_url: str
) -> None:
    """kill -9 in the middle: a sample is in quarantine or stored; the next run does the rest."""
    url, total = empty_database_url, 20_000
    for start in range(0, total, 5_000):
        send(url, *[sample(i) for i in range(start, start + 5_000)])
    total = value(url, "SELECT count(*) FROM quarantine")
    register(url)
    with subprocess.Popen(
        [sys.executable, "-m", "shudao", "quarantine", "replay", "--all"],
        env={**os.environ, "SHUDAO_DATABASE_URL": url}, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not value(url, "SELECT count(*) FROM radio_sample"):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
    both = "SELECT (SELECT count(*) FROM radio_sample) + (SELECT count(*) FROM quarantine)"
    stored = value(url, "SELECT count(*) FROM radio_sample")
    assert 0 < stored < total, "it was killed too late to tell anything"
    assert value(url, both) == total
    rest = json.loads(quarantine("replay", "--all", "--json").out)
    assert 0 < rest["replayed"] == rest["left_quarantine"] < total
    assert value(url, both) == total
    assert value(url, "SELECT sum(radio_n) FROM coverage_hour") == total
    ledger = "SELECT sum(stored) FROM ingest_minute WHERE origin = 'replay'"
    assert value(url, ledger) == total
