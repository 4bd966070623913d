"""Read a goals file; refuse a wrong one with the line, what is wrong and what would be right."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shudao.errors import ShudaoError
from shudao.goals.lines import KeyPath, key_lines, line_of
from shudao.goals.model import Criteria, Evidence, Goal, GoalsFile, Places, Plan
from shudao.settings import get_settings

BUNDLED = Path(__file__).with_name("goals.toml")
_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
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
    try:
        return GoalsFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(name, text, str(error)) from error
    except ValidationError as error:
        raise _first_error(name, text, error) from error


def _syntax_error(name: str, text: str, message: str) -> ShudaoError:
    """tomllib ends its messages with "(at line 3, column 5)" or "(at end of document)"."""
    match = re.search(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    what, line, column = match.groups() if match else (message, None, None)
    where = f", column {column}" if column else ""
    return ShudaoError(
        f"{name}, line {line or len(text.splitlines())}{where}: not TOML: {what}",
        "strings stand in double quotes, dates and numbers without; see https://toml.io",
    )


def _first_error(name: str, text: str, error: ValidationError) -> ShudaoError:
    lines = key_lines(text)

    def most_telling(blamed: tuple[KeyPath, ErrorDetails]) -> tuple[bool, int, int]:
        path, detail = blamed  # a misspelt key is also a missing one: missing ones come last
        return detail["type"] == "missing", line_of(path, lines), -len(path)

    found = sorted(_blamed(error), key=most_telling)
    path, detail = found[0]
    what, right = _explain(path, detail)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ShudaoError(f"{name}, line {line_of(path, lines)}: {what}{more}", right)


def _blamed(error: ValidationError) -> list[tuple[KeyPath, ErrorDetails]]:
    return [
        ((*detail["loc"], *detail.get("ctx", {}).get("blame", ())), detail)
        for detail in error.errors(include_url=False)
    ]


def _explain(path: KeyPath, detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong at ``path``, and what would be right."""
    key = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    match detail["type"]:
        case "goals":
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
