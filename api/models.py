"""What the API answers: shares are fractions, times are UTC."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from shudao.evaluation.progress import Progress
from shudao.goals import Criteria, Evidence, Goal, Places
from shudao.vocabulary import ANY_CARRIER, FOREIGN_CARRIER, Carrier

Share = Annotated[float, Field(ge=0, le=1)]
State = Literal["covered", "uncovered", "unknown"]


class CarrierName(StrEnum):
    """A carrier, or any of the four."""

    ANY = "any"
    TELECOM = "telecom"
    MOBILE = "mobile"
    UNICOM = "unicom"
    BROADNET = "broadnet"

    @property
    def id(self) -> int:
        """Its number in the database."""
        return ANY_CARRIER if self is CarrierName.ANY else Carrier[self.name]


def carrier_name(carrier_id: int) -> str:
    """The name of a carrier's number; of a network that is none of the four, ``foreign``."""
    if carrier_id == FOREIGN_CARRIER:
        return "foreign"
    return "any" if carrier_id == ANY_CARRIER else Carrier(carrier_id).name.lower()


class DivisionModel(BaseModel):
    """A node of the administrative tree."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [{"code": "5101", "name": "成都市", "level": "prefecture"}]},
    )

    code: str
    name: str
    level: str


class Numbers(BaseModel):
    """How many places of a goal are covered, uncovered and unknown, of how many.

    ``share`` and ``unknown_share`` are of all places; ``share_of_measured`` leaves out the unknown.
    """

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "day": "2026-11-23",
                    "criteria": "1",
                    "covered": 2401,
                    "uncovered": 166,
                    "unknown": 100,
                    "denominator": 2667,
                    "share": 0.9003,
                    "unknown_share": 0.0375,
                    "share_of_measured": 0.9353,
                    "evaluated_at": "2026-11-23T08:00:00Z",
                }
            ]
        },
    )

    day: date
    criteria: str = Field(description="version of the goal's criteria")
    covered: int
    uncovered: int
    unknown: int = Field(description="never measured, too little, or not freshly enough")
    denominator: int = Field(description="covered + uncovered + unknown")
    share: Share | None
    unknown_share: Share | None
    share_of_measured: Share | None
    evaluated_at: datetime

    @classmethod
    def of(cls, progress: Progress | None) -> Self | None:
        """The numbers of a progress; None where there is none."""
        return None if progress is None else cls.model_validate(progress)


class GoalModel(BaseModel):
    """A goal as the goals file states it, and where the whole province stands."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=["village-fibre"])
    clause: str = Field(examples=["N15"])
    section: str
    quote: str = Field(
        description="the plan's own words", examples=["力争2020年实现行政村光纤全通达"]
    )
    title_zh: str
    title_en: str
    departments: list[str] = Field(description="the lead department first")
    places: Places
    evidence: Evidence
    criteria: Criteria
    reasons: dict[str, str] = Field(description="why each threshold is what it is")
    target: Share | None
    target_reason: str | None
    deadline: date | None
    progress: Numbers | None = Field(None, description="any carrier, the whole province, newest")

    @classmethod
    def of(cls, goal: Goal, progress: Progress | None) -> Self:
        """A goal with its newest progress."""
        return cls.model_validate(goal).model_copy(update={"progress": Numbers.of(progress)})


class GoalList(BaseModel):
    """All goals, in the order of the goals file."""

    plan: str = Field(examples=["川府发〔2018〕32号"])
    vintage: date = Field(description="registry whose places are counted")
    goals: list[GoalModel]


class DivisionNumbers(BaseModel):
    """One division and its newest numbers; null where it has no place of the goal."""

    division: DivisionModel
    numbers: Numbers | None


class GoalProgress(BaseModel):
    """One goal in one division: now, in the divisions below it, and day by day."""

    goal: str
    title_zh: str
    title_en: str
    target: Share | None
    deadline: date | None
    vintage: date = Field(description="registry whose places are counted")
    carrier: CarrierName
    division: DivisionModel
    numbers: Numbers | None = Field(description="newest; null: no place here, or never evaluated")
    children: list[DivisionNumbers]
    history: list[Numbers] = Field(description="the last evaluation of each day (UTC)")


class Coordinates(BaseModel):
    """Where a place is said to be (WGS-84), and how far to trust that."""

    lon: float
    lat: float
    source: Literal["surveyed", "synthetic", "coarse"] = Field(
        description="synthetic: drawn inside the county, no survey"
    )
    precision_m: float | None


class PlaceState(BaseModel):
    """The state of one place for one goal and carrier, and its evidence."""

    goal: str
    place_kind: str = Field(examples=["village"])
    place_name: str
    carrier: CarrierName
    state: State
    criteria: str = Field(description="version of the goal's criteria")
    n: int = Field(description="valid samples in the window")
    n_good: int = Field(description="those at or above the thresholds")
    days: int = Field(description="days with valid samples")
    last_hour: datetime | None = Field(description="the newest hour with a valid sample")
    since: datetime | None = Field(description="when the state changed last; null: never evaluated")


class Device(BaseModel):
    """What measures at a place."""

    name: str
    carrier: str
    technology: str
    kind: str
    interval_s: int | None = Field(description="expected between reports")
    last_time: datetime | None = Field(description="of its newest measurement")
    last_received: datetime | None
    samples: int


class OtherVintage(BaseModel):
    """What the same code means in another vintage: codes are re-used."""

    vintage: date
    path: str
    differs: bool


class Village(BaseModel):
    """A village, community or special unit: where it is, how it is covered, who measures it."""

    vintage: date
    code: str = Field(examples=["510104020007"])
    name: str
    kind: Literal["village", "community", "special"]
    path: list[DivisionModel] = Field(description="province first, the village itself last")
    coordinates: Coordinates | None
    states: list[PlaceState]
    devices: list[Device]
    other_vintages: list[OtherVintage]


class Health(BaseModel):
    """All is well; else the answer is a problem document with status 503."""

    status: Literal["ok"]
    schema_revision: str
    newest_commit: datetime | None = Field(
        description="minute of arrival of the newest stored samples; null: none yet"
    )
    newest_commit_age_s: float | None
