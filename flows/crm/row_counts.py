"""The count of where every row of an export went, and of where every value came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from expectations.deals_schema import COLUMN_NAMES
from flows.crm.values.zones import TimesOfDay

ASSUMED = "assumed:"
"""The label, in ``filled``, of a value that nothing in the export says; the reason follows it."""


@dataclass
class RowCounts:
    """The fate of every row and the source of every value; complete once the extraction is exhausted.

    ``rows`` below the header = ``deals`` + all of ``non_rows``. ``filled`` says by target column how many rows got a value how: ``direct``,
    ``fallback:<header or column>``, ``derived:<from what>``, ``default:<value>``, ``assumed:<why>``, ``raised:<column>``. ``unread`` counts
    cells that could not be converted and keep their text for the gate to name. ``undecided`` are the stages that decide no outcome, with
    their deals, ``stages`` those that do, ``contradictions`` the deals whose stage says another outcome than their flags; ``overdue`` deals
    are open only because nothing says otherwise, and should have closed before now. ``warnings`` are of what nobody sees in the rows: a
    last line that may be cut short. ``serials`` are the headers of dates that are the day numbers of a spreadsheet,
    ``errors`` counts its errors by header, ``future`` the dates after today of what has happened, by column.
    """

    rows: int = 0
    deals: int = 0
    non_rows: Counter[str] = field(default_factory=Counter)
    filled: dict[str, Counter[str]] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    short_rows: int = 0
    undecided: Counter[str] = field(default_factory=Counter)
    stages: Counter[tuple[str, str]] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    overdue: int = 0
    warnings: tuple[str, ...] = ()
    serials: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    future: Counter[str] = field(default_factory=Counter)
    times_of_day: dict[str, TimesOfDay] = field(default_factory=dict)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Warnings of cells that may be other than they look: errors, day numbers, and midnights of another zone."""
        serials = (
            f"plain numbers as dates ({', '.join(map(repr, sorted(self.serials)))}) are read as a spreadsheet's days, counted from 1900"
        )
        shifted = [f"{name}: {times}" for name, times in self.times_of_day.items() if times.shifted]
        errors = [
            f"{header!r} has an error of a spreadsheet, such as #REF!, in {cells:,} {'cell' if cells == 1 else 'cells'}, read as empty"
            for header, cells in self.errors.items()
        ]
        future = [
            f"{name} lies in the future in {deals:,} of {self.deals:,} deals: day and month may be exchanged, or the column be another"
            for name, deals in self.future.items()
        ]
        return (*errors, *future, *([serials] if self.serials else []), *shifted)

    @property
    def assumed_statuses(self) -> int:
        """Deals whose status nothing says."""
        return sum(rows for how, rows in self.filled.get("status", {}).items() if how.startswith(ASSUMED))

    @property
    def empty(self) -> list[str]:
        """The target columns that no row has a value for."""
        return [name for name in COLUMN_NAMES if not self.filled.get(name)]
