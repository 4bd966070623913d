"""Read a goals file; refuse a wrong one with the line, what is wrong and what would be right."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from pydantic_core import ErrorDetails

from shudao import toml_file
from shudao.errors import ShudaoError
from shudao.goals.model import Criteria, Evidence, Goal, GoalsFile, Places, Plan
from shudao.settings import get_settings
from shudao.toml_file import Table, parse_toml
from shudao.toml_lines import KeyPath

BUNDLED = Path(__file__).with_name("goals.toml")
_TABLES: dict[tuple[str, ...], type[Table]] = {
    (): GoalsFile,
    ("plan",): Plan,
    ("goal",): Goal,
    ("goal", "places"): Places,
    ("goal", "evidence"): Evidence,
    ("goal", "criteria"): Criteria,
}
_RIGHT = {
    "date_type": "write a date without quotes, as 2020-12-31",
    "int_type": "write a whole number, without quotes",
    "float_type": "write a number, without quotes",
    "string_type": "write a text, in double quotes",
    "less_than_equal": "a share is a fraction: 0.95 means 95 %",
}


def load_goals(path: Path | None = None) -> tuple[Goal, ...]:
    """The goals of ``path``, else of ``SHUDAO_GOALS_FILE``, else the bundled ones, in file order.

    Raises `ShudaoError` naming file, line, what is wrong and what would be right.
    """
    return tuple(_load(path or get_settings().goals_file or BUNDLED).goal)


def load_plan(path: Path | None = None) -> Plan:
    """The plan that the goals come from. Raises as `load_goals`."""
    return _load(path or get_settings().goals_file or BUNDLED).plan


@cache
def _load(path: Path) -> GoalsFile:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ShudaoError(
            f"the goals file {path} cannot be read: {error.strerror}",
            "correct the path, or SHUDAO_GOALS_FILE",
        ) from error
    except UnicodeDecodeError as error:
        raise ShudaoError(f"the goals file {path} is not UTF-8", "save it as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> GoalsFile:
    """Read the text of a goals file; ``name`` is used in errors."""
    return parse_toml(text, name, GoalsFile, _explain)


def _explain(path: KeyPath, detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong at ``path``, and what would be right."""
    key = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    match detail["type"]:
        case toml_file.WRONG:
            return _prefixed(path, detail["ctx"]["what"]), detail["ctx"]["right"]
        case "extra_forbidden":
            return f"unknown key '{key}'", _suggestion(key, _keys_beside(path))
        case "missing":
            return f"{_place(path[:-1])} lacks '{key}'", f"add {key} = …"
    found = detail["input"]
    shown = f" = {found!r}" if isinstance(found, str | int | float | date) else ""
    return (
        f"{key}{shown}: {detail['msg'][0].lower()}{detail['msg'][1:]}",
        _RIGHT.get(detail["type"], f"correct {key}; the bundled goals.toml has an example"),
    )


def _prefixed(path: KeyPath, what: str) -> str:
    key = path[-1]
    return f"{key}: {what}" if isinstance(key, str) and key not in what else what


def _place(path: KeyPath) -> str:
    """The table that a path means, as it is written in the file."""
    names = [str(part) for part in path if isinstance(part, str)]
    if not names:
        return "the file"
    return f"[{'.'.join(names)}]" if len(names) > 1 or names[0] != "goal" else "this [[goal]]"


def _suggestion(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"


def _keys_beside(path: KeyPath) -> list[str]:
    """The keys that are known in the table that holds the last key of ``path``."""
    table = tuple(part for part in path[:-1] if isinstance(part, str))
    return list(_TABLES[table].model_fields)
