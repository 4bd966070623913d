"""Find mapping profiles; refuse a wrong one with its line and what would be right."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ingest.recorded.profile import Profile
from shudao.errors import ShudaoError
from shudao.goals.lines import KeyPath, key_lines, line_of

BUNDLED = Path(__file__).with_name("profiles")


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """A profile and its name: the file's, without ``.toml``."""

    name: str
    profile: Profile


def bundled_profiles() -> list[NamedProfile]:
    """The profiles that come with Shudao, by name."""
    return [_load(path) for path in sorted(BUNDLED.glob("*.toml"))]


def load_profile(name: str) -> NamedProfile:
    """A bundled profile by its name, or one's own by its path (``….toml``).

    Raises `ShudaoError` when there is none, or naming the line that is wrong.
    """
    if name.endswith(".toml"):
        return _load(Path(name))
    names = [path.stem for path in sorted(BUNDLED.glob("*.toml"))]
    if name not in names:
        near = get_close_matches(name, names, n=1)
        raise ShudaoError(
            f"there is no profile '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""),
            f"use one of {', '.join(names)}, or the path of your own: --profile mine.toml",
        )
    return _load(BUNDLED / f"{name}.toml")


def _load(path: Path) -> NamedProfile:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ShudaoError(
            f"the profile {path} cannot be read ({error})",
            "correct the path, and save the file as UTF-8",
        ) from error
    return NamedProfile(path.stem, parse_profile(text, str(path)))


def parse_profile(text: str, name: str) -> Profile:
    """Read the text of a profile; ``name`` is used in errors. Raises `ShudaoError`."""
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = line[1] if line else len(text.splitlines())
        what = str(error).partition(" (at ")[0]
        raise ShudaoError(
            f"{name}, line {where}: not TOML: {what}",
            "strings stand in double quotes, numbers without; see https://toml.io",
        ) from error
    except ValidationError as error:
        raise _first_error(name, text, error) from error


def _first_error(name: str, text: str, error: ValidationError) -> ShudaoError:
    lines = key_lines(text)

    def blamed(detail: ErrorDetails) -> KeyPath:
        return (*detail["loc"], *detail.get("ctx", {}).get("blame", ()))

    def most_telling(detail: ErrorDetails) -> tuple[bool, int]:
        # A misspelt key is also a missing one: missing ones come last.
        return detail["type"] == "missing", line_of(blamed(detail), lines)

    found = sorted(error.errors(include_url=False), key=most_telling)
    path = blamed(found[0])
    what, right = _explain(path, found[0])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ShudaoError(f"{name}, line {line_of(path, lines)}: {what}{more}", right)


def _explain(path: KeyPath, detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong at ``path``, and what would be right."""
    key = ".".join(str(part) for part in path if isinstance(part, str))
    match detail["type"]:
        case "profile":
            return f"{key}: {detail['ctx']['what']}", detail["ctx"]["right"]
        case "missing":
            return f"{key} is missing", f"add {path[-1]} = …"
        case "extra_forbidden":
            return f"unknown key {key}", "the profiles of `shudao import --list` are examples"
    shown = detail["input"] if isinstance(detail["input"], str | int | float) else "…"
    what = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{key} = {shown!r}: {what}", "the profiles of `shudao import --list` are examples"
