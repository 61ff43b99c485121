"""The count of where every row of an export went, and of where every value came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from expectations.schema import COLUMN_NAMES


@dataclass
class RowCounts:
    """Where every row went and every value came from; complete once the extraction is exhausted.

    ``rows`` below the header = ``deals`` + all of ``non_rows``. ``filled`` says by target column how many rows got a value how: ``direct``,
    ``fallback:<header or column>``, ``derived:<from what>``, ``default:<value>``, ``assumed:<why>``, ``raised:<column>``. ``unread`` counts
    cells that could not be converted and keep their text for the gate to name.
    """

    rows: int = 0
    deals: int = 0
    non_rows: Counter[str] = field(default_factory=Counter)
    filled: dict[str, Counter[str]] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    short_rows: int = 0

    @property
    def empty(self) -> list[str]:
        """The target columns that no row has a value for."""
        return [name for name in COLUMN_NAMES if not self.filled.get(name)]

    def add(self, filled: Mapping[str, Counter[str]], unread: Counter[str]) -> None:
        """Add what a mapped batch has filled, by column, and what it could not read."""
        for name, counts in filled.items():
            self.filled.setdefault(name, Counter()).update(counts)
        self.unread.update(+unread)
