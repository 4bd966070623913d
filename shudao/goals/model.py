"""What a goals file may say: the types, the ranges, and what must fit together."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shudao.streams import DOWN_EDGES_MBPS, RSRP_EDGES_DBM, SINR_EDGES_DB
from shudao.toml_file import Table, TechnologyName, Text, wrong
from shudao.vocabulary import RADIO_TECHNOLOGIES, TECHNOLOGY_IDS, Technology


def _on_edge(edges: tuple[int, ...]) -> AfterValidator:
    def check(value: int) -> int:
        if value not in edges:
            choices = ", ".join(map(str, edges))
            raise wrong(
                f"{value} is not on an edge of the stored histogram", f"use one of {choices}"
            )
        return value

    return AfterValidator(check)


Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[int, Field(ge=1, le=730)]
Subkind = Literal["village", "community", "special"]


class Plan(Table):
    """The document that the goals come from; ``division`` is the whole that it governs."""

    id: Text
    title_zh: Text
    title_en: Text
    issued: date
    division: Annotated[str, Field(pattern=r"^\d{2}$")]


class Places(Table):
    """Whose places count: all of a kind, or only the given subkinds."""

    kind: Literal["village", "station", "site", "wlan", "segment"]
    subkinds: Annotated[tuple[Subkind, ...], Field(min_length=1, strict=False)] | None = None


class Evidence(Table):
    """Which samples are evidence: one stream, any of the technologies.

    With ``good``, only samples of those technologies can be good ones.
    """

    stream: Literal["radio", "broadband"]
    technologies: Annotated[tuple[TechnologyName, ...], Field(min_length=1, strict=False)]
    good: Annotated[tuple[TechnologyName, ...], Field(min_length=1, strict=False)] | None = None

    @property
    def technology_ids(self) -> list[int]:
        """The technologies as numbers, in ascending order."""
        return sorted(TECHNOLOGY_IDS[name] for name in self.technologies)

    @property
    def good_ids(self) -> list[int]:
        """The technologies whose samples can be good, as numbers, in ascending order."""
        return sorted(TECHNOLOGY_IDS[name] for name in self.good or self.technologies)

    @model_validator(mode="after")
    def _good_is_evidence(self) -> Self:
        for name in self.good or ():
            if name not in self.technologies:
                raise wrong(f"'{name}' is good, but no evidence", "add it to technologies", "good")
        return self


class Criteria(Table):
    """What makes a place covered; the comments in goals.toml say what each threshold means."""

    version: Text
    dated: date
    share: Share
    min_samples: Count
    min_days: Days
    window_days: Days
    freshness_days: Days
    rsrp_dbm: Annotated[int, _on_edge(RSRP_EDGES_DBM)] | None = None
    sinr_db: Annotated[int, _on_edge(SINR_EDGES_DB)] | None = None
    down_mbps: Annotated[int, _on_edge(DOWN_EDGES_MBPS)] | None = None
    ipv6: Literal[True] | None = None

    @property
    def thresholds(self) -> dict[str, Any]:
        """The thresholds that are set, in the order of the fields; each needs a reason."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: value
            for name, value in named.items()
            if name not in ("version", "dated") and value is not None
        }

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key in ("freshness_days", "min_days"):
            if getattr(self, key) > self.window_days:
                raise wrong(
                    f"{key} is longer than window_days ({self.window_days})",
                    "no sample outside the window is ever looked at; make it shorter",
                    key,
                )
        return self


class Goal(Table):
    """One clause of the plan, and how Shudao measures it."""

    id: Identifier
    clause: Annotated[str, Field(pattern=r"^N\d{1,2}$")]
    section: Text
    quote: Text
    title_zh: Text
    title_en: Text
    departments: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]
    places: Places
    evidence: Evidence
    criteria: Criteria
    reasons: dict[str, Text]
    target: Share | None = None
    target_reason: Text | None = None
    deadline: date | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check_quantity()
        self._check_technologies()
        self._check_reasons()
        if (self.target is None) != (self.target_reason is None):
            given = "target" if self.target_reason is None else "target_reason"
            raise wrong(f"{given} stands alone", "give target and target_reason, or neither", given)
        if self.places.subkinds and self.places.kind != "village":
            raise wrong("only villages have subkinds", "remove subkinds", "places", "subkinds")
        return self

    def _check_quantity(self) -> None:
        criteria, stream = self.criteria, self.evidence.stream
        wanted = {"radio": ["rsrp_dbm"], "broadband": ["down_mbps", "ipv6"]}[stream]
        allowed = [*wanted, "sinr_db"] if stream == "radio" else wanted
        for key in ("rsrp_dbm", "sinr_db", "down_mbps", "ipv6"):
            if getattr(criteria, key) is not None and key not in allowed:
                raise wrong(
                    f"{key} does not fit {stream} evidence",
                    f"use {' or '.join(wanted)}, or another stream",
                    "criteria",
                    key,
                )
        if sum(getattr(criteria, key) is not None for key in wanted) != 1:
            raise wrong(
                f"criteria on {stream} evidence need exactly one of {', '.join(wanted)}",
                f"add {' or '.join(wanted)}" if len(wanted) == 1 else "keep one of them",
                "criteria",
            )

    def _check_technologies(self) -> None:
        if self.evidence.stream != "radio":
            return
        if self.evidence.good is not None:
            raise wrong("radio samples of every technology can be good", "remove good", "evidence")
        for name in self.evidence.technologies:
            if Technology(TECHNOLOGY_IDS[name]) not in RADIO_TECHNOLOGIES:
                raise wrong(
                    f"'{name}' sends no radio samples",
                    'use nbiot, gsm, lte or nr, or stream = "broadband"',
                    "evidence",
                )

    def _check_reasons(self) -> None:
        missing = [key for key in self.criteria.thresholds if key not in self.reasons]
        if missing:
            raise wrong(
                f"no reason for {', '.join(missing)}",
                f'add {missing[0]} = "…" under [goal.reasons]: who says so, or why we chose it',
                "reasons",
            )
        for key in self.reasons:
            if key not in self.criteria.thresholds:
                raise wrong(
                    f"a reason for {key}, which the criteria do not set",
                    "set it under [goal.criteria], or remove the reason",
                    "reasons",
                    key,
                )


class GoalsFile(Table):
    """The whole file: ``[plan]`` once, ``[[goal]]`` once for each goal."""

    plan: Plan
    goal: Annotated[tuple[Goal, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        first: dict[str, int] = {}
        for index, goal in enumerate(self.goal):
            if goal.id in first:
                raise wrong(
                    f"a second goal with the id '{goal.id}'",
                    "give each goal an id of its own", "goal", index, "id",
                )  # fmt: skip
            first[goal.id] = index
        return self
