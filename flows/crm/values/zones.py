"""The zones in which an export's times are read and sent: the one that each names itself, or the one that it is given."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

GREENWICH = ("Z", "UTC", "GMT")
OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Zones:
    """IANA zones: ``read_as`` of times that name none, those of ``columns`` that have their own (by header), and ``sent_in``."""

    read_as: str
    sent_in: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        own = ", ".join(f"{header!r} as {zone}" for header, zone in self.columns.items())
        return f"times without a zone read as {self.read_as}{f' ({own})' if own else ''}, sent in {self.sent_in}"

    def of(self, header: str) -> str:
        """The zone of a column's times that name none."""
        return self.columns.get(header, self.read_as)

    def as_object(self) -> dict[str, object]:
        """The same for JSON."""
        return {"read_as": self.read_as, "columns": dict(self.columns), "sent_in": self.sent_in}


_SOME, _ENOUGH = 100, 20
_MIDNIGHT = "00:00:00"


@dataclass
class TimesOfDay:
    """The times of day in a column, for as long as they may be midnights that another zone has shifted to the day before."""

    seen: set[str] = field(default_factory=set)
    rows: int = 0
    possible: bool = True

    def see(self, column: pa.Array) -> None:
        """Take down the times of a batch; a look at the first of them ends it for most columns."""
        for part in (column.slice(0, _SOME), column) if self.possible else ():
            times = pc.unique(pc.utf8_slice_codeunits(part.drop_null(), 11, 19)).to_pylist()
            self.possible = self.possible and len(times) <= 2 and _MIDNIGHT not in times and len(self.seen | set(times)) <= 2
            if not self.possible:
                return
        if self.possible:
            self.seen.update(times)
            self.rows += len(column) - column.null_count

    @property
    def shifted(self) -> bool:
        """True if all of many times are an evening's hour, or that and the next, as midnights are further west."""
        hours = sorted(self.seen)
        single = len(hours) == 1 and hours[0] in {"18:30:00", "21:00:00", "22:00:00", "23:00:00"}
        read = all(hour[:2].isdigit() for hour in hours)  # a cell that is no time is named elsewhere
        pair = read and len(hours) == 2 and hours[0] >= "12" and int(hours[1][:2]) - int(hours[0][:2]) == 1 and hours[0][2:] == hours[1][2:]
        return self.possible and self.rows >= _ENOUGH and (single or pair)

    def __str__(self) -> str:
        return (
            f"every time is {' or '.join(sorted(self.seen))}, as midnights further east are, so that days and months may be those before."
            " Where the export's times are UTC, say --crm-timezone UTC; else see that the collection's zone is that of its users"
        )


def in_zone(times: pa.Array, zone: str) -> pa.Array:
    """Times without a zone as instants in ``zone``; an hour that a clock shows twice is the first, one that it skips the next."""
    return pc.assume_timezone(times, zone, ambiguous="earliest", nonexistent="latest")


def offset_named(name: str, time: datetime, own: Mapping[str, str] | None = None) -> str:
    """The offset that a zone's letters name at a local ``time``: `CET` on a day of winter is `+01:00`.

    ``own`` letters stand for a zone, or an offset.

    Raises ValueError for letters that stand for several zones, and for those of the other half of the year: `CET` in July may mean either.
    """
    if said := (own or {}).get(name):
        return said if OFFSET.fullmatch(said) else time.replace(tzinfo=ZoneInfo(said)).isoformat()[-6:]
    if name in GREENWICH:
        return "Z"
    for zone, names in _letters().items():
        local = time.replace(tzinfo=ZoneInfo(zone))
        if name in names[bool(local.dst())]:
            return local.isoformat()[-6:]
    raise ValueError(name)


@cache
def _letters() -> dict[str, tuple[list[str], list[str]]]:
    """For each zone its letters in winter and in summer."""
    said = tomllib.loads((resources.files("flows.crm.values") / "words" / "zones.toml").read_text("utf-8"))
    return {zone: (names[0].split(), names[1].split() if len(names) > 1 else []) for zone, names in said.items()}
