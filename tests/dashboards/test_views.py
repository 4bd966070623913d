"""The views and functions behind the panels give the right numbers."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.dashboards.conftest import Rows


def test_goal_now_takes_the_newest_day(reader: Rows) -> None:
    """Of two days of progress, the later one; shares of all places."""
    row = reader.execute(
        "SELECT day::text, covered, covered_share, uncovered_share, unknown_share, gap"
        " FROM grafana.goal_now WHERE goal = 'fibre' AND vintage = '2018-10-31' AND carrier_id = 0"
    ).fetchone()
    assert row == ("2026-11-02", 80, 0.8, 0.05, 0.15, pytest.approx(-0.1))


@pytest.mark.parametrize(
    ("covered", "uncovered", "status"), [(90, 10, "reached"), (80, 10, "open"), (80, 11, "missed")]
)
def test_status_says_whether_the_unknown_places_decide(
    editor: Rows, covered: int, uncovered: int, status: str
) -> None:
    """With a target of 90 %: reached, still open, or out of reach."""
    editor.execute(
        "UPDATE goal_progress SET covered = %s, uncovered = %s, unknown = %s, denominator = 100"
        " WHERE goal = 'nbiot'",
        [covered, uncovered, 100 - covered - uncovered],
    )
    found = editor.execute("SELECT DISTINCT status FROM grafana.goal_now WHERE goal = 'nbiot'")
    assert found.fetchall() == [(status,)]


def test_goal_without_target_or_progress_is_still_listed(reader: Rows) -> None:
    """A goal never goes missing from the table."""
    rows = reader.execute(
        "SELECT goal, status, covered_share FROM grafana.goal_now"
        " WHERE vintage = '2018-10-31' AND carrier_id = 1 AND goal IN ('speed', 'station')"
    ).fetchall()
    assert sorted(rows) == [("speed", "no target", 0.3), ("station", "no data", None)]


def test_prefectures_are_ranked_on_the_day_of_the_province(reader: Rows) -> None:
    """An older and better day of one prefecture does not count."""
    rows = reader.execute(
        "SELECT rank, prefecture, covered_share FROM grafana.prefecture_now"
        " WHERE goal = 'fibre' AND carrier_id = 0 ORDER BY rank"
    ).fetchall()
    assert rows == [(1, "成都市", 1.0), (2, "自贡市", pytest.approx(40 / 60))]


def test_ingest_series_counts_a_second(reader: Rows, now: datetime) -> None:
    """Eight ledger rows of 600 stored samples a minute are 80 samples a second."""
    rows = reader.execute(
        "SELECT stored_rate, duplicate_rate, quarantined_rate, lag_mean_ms, lag_max_ms"
        " FROM grafana.ingest_series(%s, %s, '1m')",
        [now - timedelta(minutes=5), now - timedelta(minutes=1)],
    ).fetchall()
    expected = (80.0, pytest.approx(8 * 40 / 60), pytest.approx(8 * 20 / 60), 100.0, 250)
    assert rows == [expected] * 5


def test_ingest_series_shows_silence_as_zero(reader: Rows, now: datetime) -> None:
    """A minute in which nothing arrived has a rate of 0 and no lag."""
    rows = reader.execute(
        "SELECT stored_rate, lag_mean_ms, lag_max_ms FROM grafana.ingest_series(%s, %s, '1m')",
        [now - timedelta(minutes=40), now - timedelta(minutes=30)],
    ).fetchall()
    assert rows == [(0.0, None, None)] * 11


def test_ingest_series_divides_the_minute_that_still_fills_by_what_is_past(editor: Rows) -> None:
    """A steady 1,000 a second does not seem to drop at the right edge."""
    editor.execute("DELETE FROM ingest_minute")
    row = editor.execute(
        "INSERT INTO ingest_minute SELECT date_trunc('minute', now()), 1, 'radio', 'mqtt', n, n,"
        " 0, 0, 0, 0 FROM (SELECT (1000 * extract(second FROM now()))::bigint AS n) AS t"
        " RETURNING extract(second FROM now()) >= 10"
    ).fetchone()
    rates = editor.execute(
        "SELECT stored_rate FROM grafana.ingest_series(now(), now() + interval '1 hour', '1m')"
    ).fetchall()
    assert rates == ([(pytest.approx(1000, rel=0.001),)] if row == (True,) else [])


def test_samples_by_carrier_add_up(reader: Rows, now: datetime) -> None:
    """Ten minutes and one: 11 ledger rows of each carrier and stream."""
    rows = reader.execute(
        "SELECT carrier_id, radio, broadband, reading, duplicates, quarantined"
        " FROM grafana.carrier_samples(%s, %s)",
        [now - timedelta(minutes=10), now],
    ).fetchall()
    assert rows == [(k, 6_600, 6_600, 0, 880, 440) for k in (1, 2, 3, 4)]


def test_refused_from_nobody_is_not_any_carrier(editor: Rows, now: datetime) -> None:
    """The ledger's carrier 0 is an unknown sender."""
    editor.execute("INSERT INTO ingest_minute VALUES (%s, 0, '', 'mqtt', 1, 0, 0, 1, 0, 0)", [now])
    row = editor.execute(
        "SELECT carrier FROM grafana.carrier_samples(%s, %s) LIMIT 1", [now, now]
    ).fetchone()
    assert row == ("发送者不明 · unknown sender",)


def test_quarantine_reasons_show_the_newest_case(reader: Rows, now: datetime) -> None:
    """Two reasons, newest first, each with its newest topic and detail."""
    rows = reader.execute(
        "SELECT * FROM grafana.quarantine_reasons(%s, %s)", [now - timedelta(hours=1), now]
    ).fetchall()
    assert rows == [
        ("out_of_range", 3, now, "topic 0", "detail 0"),
        ("bad_json", 2, now - timedelta(minutes=3), "topic 3", "detail 3"),
    ]
