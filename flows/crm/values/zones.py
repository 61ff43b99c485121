"""In which zones an export's times are read and sent, where they name none themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
