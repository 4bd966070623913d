"""The goals file: the bundled one is sound, and a wrong one is refused with the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shudao.errors import ShudaoError
from shudao.goals import load_goals, load_plan
from shudao.goals.load import BUNDLED, parse
from shudao.toml_lines import key_lines, line_of

TEXT = BUNDLED.read_text(encoding="utf-8")


def _line(of: str) -> int:
    """The first line of the bundled file that begins with a text."""
    return next(n for n, line in enumerate(TEXT.splitlines(), 1) if line.startswith(of))


def test_bundled_goals_are_those_of_the_plan() -> None:
    """Clauses in the plan's words, the plan's targets, thresholds with reasons."""
    goals = {goal.id: goal for goal in load_goals()}
    assert load_plan().id == "川府发〔2018〕32号"
    assert {goal.clause for goal in goals.values()} >= {"N2", "N3", "N4", "N5"}
    assert {goal.clause for goal in goals.values()} >= {"N12", "N15", "N16", "N17"}
    fibre = goals["village-fibre"]
    assert (fibre.quote, fibre.target) == ("力争2020年实现行政村光纤全通达", 1.0)
    assert (fibre.places.kind, fibre.places.subkinds) == ("village", ("village",))
    nbiot = goals["nbiot-general"]
    assert (nbiot.criteria.rsrp_dbm, nbiot.criteria.sinr_db, nbiot.criteria.share) == (
        -108, -3, 0.95,
    )  # fmt: skip


WRONG = [
    # replaced, by, line that is blamed, what the error says
    ("rsrp_dbm = -108", "rsrp_dbm = -106", "rsrp_dbm", "use one of -128, -118, -110, -108"),
    ("sinr_db = -3", "sinr_db = -4", "sinr_db", "use one of -3, 0, 10"),
    ("down_mbps = 12", "down_mbps = 13", "down_mbps = 12", "use one of 4, 12, 20"),
    ("share = 0.95", "share = 95", "share", "less than or equal to 1"),
    ("share = 0.95", "share = 0.0", "share", "greater than 0"),
    ("share = 0.95", "shar = 0.95", "share", "unknown key 'shar' (and 1 more) → did you mean"),
    ("min_days = 3", 'min_days = "3"', "min_days", "write a whole number, without quotes"),
    ("min_days = 3", "min_days = 31", "min_days", "longer than window_days (30)"),
    ("min_days = 3\n", "", "[goal.criteria]", "[goal.criteria] lacks 'min_days'"),
    ("deadline = 2020-12-31", 'deadline = "2020"', "deadline", "without quotes, as 2020-12-31"),
    ("deadline = 2020-12-31", "deadline = 2020-13-31", "deadline", "column 16: not TOML"),
    ("title_zh = \"窄", "title_zh = 窄", "title_zh = \"窄", "not TOML"),
    ('kind = "village" }', 'kind = "vilage" }', "places", "'village', 'station'"),
    ('["nbiot"]', '["nbiott"]', "evidence", "unknown technology 'nbiott'"),
    ('["nbiot"]', '["fttp"]', "evidence", "'fttp' sends no radio samples"),
    ('good = ["fttp"]', 'good = ["wlan"]', "evidence = { stream = \"broadband\"", "no evidence"),
    ('["nbiot"] }', '["nbiot"], good = ["nbiot"] }', "evidence", "remove good"),
    ("down_mbps = 12", "rsrp_dbm = -105", "down_mbps = 12", "does not fit broadband evidence"),
    ("ipv6 = true", "ipv6 = false", "ipv6 = true", "ipv6 = False"),
    ("target = 0.95\n", "", "target = 0.95", "target_reason stands alone"),
    ('id = "village-fibre"', 'id = "nbiot-general"', 'id = "village-fibre"', "a second goal"),
    ('id = "village-fibre"', 'id = "Village\'s"', 'id = "village-fibre"', "match pattern"),
    ("[goal.reasons]\n", "[goal.reasons]\nup_mbps = \"ours\"\n", "rsrp_dbm = \"ours", "up_mbps"),
    ("[plan]", "[plann]", "[plan]", "unknown key 'plann' (and 1 more) → did you mean 'plan'?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "blamed", "says"), WRONG)
def test_wrong_file_is_refused_with_the_line(old: str, new: str, blamed: str, says: str) -> None:
    """The error names the file, the line and what would be right."""
    assert old in TEXT
    with pytest.raises(ShudaoError) as refused:
        parse(TEXT.replace(old, new, 1), "my.toml")
    assert re.match(rf"my\.toml, line {_line(blamed)}[:,]", str(refused.value))
    assert says in str(refused.value)


def test_missing_reason_is_refused() -> None:
    """No threshold without a reason."""
    start = TEXT.index("[goal.reasons]")
    reason = next(r for r in TEXT[start:].splitlines() if r.startswith("share = "))
    with pytest.raises(ShudaoError, match=r"no reason for share .* add share ="):
        parse(TEXT.replace(reason + "\n", "", 1), "my.toml")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A missing file and one that is no UTF-8 are two different faults."""
    with pytest.raises(ShudaoError, match=r"none\.toml cannot be read: No such file"):
        load_goals(tmp_path / "none.toml")
    (tmp_path / "gbk.toml").write_bytes("标题".encode("gbk"))
    with pytest.raises(ShudaoError, match=r"gbk\.toml is not UTF-8"):
        load_goals(tmp_path / "gbk.toml")


def test_another_file_needs_no_code(tmp_path: Path) -> None:
    """A file with one goal of another province is all that it takes."""
    first = TEXT[: TEXT.index("[[goal]]", TEXT.index("[[goal]]") + 1)]
    file = tmp_path / "goals.toml"
    file.write_text(first.replace('division = "51"', 'division = "52"'), encoding="utf-8")
    assert [goal.id for goal in load_goals(file)] == ["nbiot-general"]
    assert load_plan(file).division == "52"


@given(st.text(), st.integers(0, len(TEXT)))
def test_no_text_breaks_the_loader(inserted: str, where: int) -> None:
    """Whatever stands in the file, it is read or refused with a line of it."""
    text = TEXT[:where] + inserted + TEXT[where:]
    try:
        parse(text, "my.toml")
    except ShudaoError as refused:
        assert "my.toml, line " in str(refused)  # noqa: PT017


def test_lines_of_keys_in_strings_are_not_keys() -> None:
    """Text inside a multi-line string is no key, and a key in an inline table has its line."""
    text = 'a = """\nb = 1\n[c]\n"""\nd = 2\n[[t]]\ne = 3\n[t.u]\nf = { g = 4 }\n'
    lines = key_lines(text)
    assert lines == {
        ("a",): 1, ("d",): 5,
        ("t", 0): 6, ("t", 0, "e"): 7, ("t", 0, "u"): 8, ("t", 0, "u", "f"): 9,
    }  # fmt: skip
    assert line_of(("t", 0, "u", "f", "g"), lines) == 9
