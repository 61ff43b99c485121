"""The guard beside the gate: is the export as a whole to be trusted, next to what the last completed sync sent?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.errors import Objection, UsageError
from flows.ledger.export_baseline import MEASURES
from flows.options import SyncOptions

SHRINK_LIMIT = 0.2
"""The share by which deals, value or known ids may fall before the guard asks."""

CHANGE_LIMIT, CHANGE_LEAST = 0.2, 50
"""The share of the known deals that may be new or changed at once, and a number below which none is asked about."""

MISSING_LIMIT, MISSING_LEAST = 0.01, 20
"""The share of the known deals that `--missing delete` may delete at once, or a number where that is more."""

CLOCKS_APART = timedelta(days=1)
LISTED = 200
"""Ids of gone deals whose forms are shown; a file has them all."""

STOPPED = "The guard stopped the sync, nothing was sent"
"""The beginning of its messages."""

_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class ExportStats:
    """The export as a whole, and beside the content index."""

    deals: int
    value: float
    newest_update: str | None
    """The newest change, ``yyyy-mm-ddTHH:MM:SS`` in the collection's zone; changes of the future do not count."""
    gone: int
    """Known deals that the export no longer has."""
    known: int
    won_by_month: dict[str, float] = field(default_factory=dict)
    """Value of the won deals by month of closing, ``YYYY-MM``."""
    gone_ids: tuple[str, ...] = ()
    """The first :data:`LISTED` of them; those of which an earlier version kept the hash alone have no name."""
    gone_file: str | None = None
    """The local file that has the ids of all of them, which no message has."""
    added: int = 0
    changed: int = 0
    compared: int = 0
    """Changed deals of which it is known which columns changed: all of a small collection, else a sample."""
    newest_deal: tuple[str, int, str] | None = None
    """The newest creation or closing of the deals that can be sent: its date, the line in the export, the column."""
    columns: dict[str, int] = field(default_factory=dict)
    """Of the compared deals, how many changed in each column."""

    def as_baseline(self) -> dict[str, Any]:
        """The baseline that the next sync's guard compares with."""
        return dict(zip(MEASURES, (self.deals, self.value, self.newest_update, self.gone), strict=True))


def object_to_whole(
    now: ExportStats, before: Mapping[str, Any] | None, *, accept_shrink: bool = False, accept_change: bool = False
) -> list[Objection]:
    """Objections to an export beside the one of the last completed sync of its collection, ``before``.

    It is empty, older, or smaller by more than :data:`SHRINK_LIMIT`, or more than :data:`CHANGE_LIMIT` of the known deals are new or
    changed in it; they name the numbers, the columns, and the file of ids.
    """
    shrunk = [] if accept_shrink else [Objection(why, "--accept-shrink") for why in _shrunk(now, before)]
    changed = [] if accept_change or before is None else [Objection(why, "--accept-change") for why in _changed(now)]
    return shrunk + changed


def object_to_override(export: str, deals: int) -> list[Objection]:
    """The objection to an override by no deals: none of the export's passes the gate."""
    return [] if deals else [Objection(f"no deal of {export} can be sent, and an override by none would empty the collection", "")]


def _shrunk(now: ExportStats, before: Mapping[str, Any] | None) -> list[str]:
    if not now.deals:
        return ["the export holds no deals"]
    if before is None:
        return []
    doubts = []
    for what, was, is_now in (("deals", before.get("deals") or 0, now.deals), ("total value", before.get("value") or 0.0, now.value)):
        if was > 0 and is_now < was * (1 - SHRINK_LIMIT):
            doubts.append(f"{what} fell from {was:,.0f} to {is_now:,.0f} ({is_now / was - 1:+.0%})")
    gone = now.gone - (before.get("vanished") or 0)
    if gone > now.known * SHRINK_LIMIT:
        doubts.append(f"{gone:,} of {now.known:,} deals sent before are not in it{_named(now)}")
    was_newest = before.get("newest_update")
    if was_newest and now.newest_update and now.newest_update < was_newest:
        doubts.append(f"its newest change is of {now.newest_update}, older than the last export's {was_newest}")
    return doubts


def _changed(now: ExportStats) -> list[str]:
    touched = now.added + now.changed
    if not now.known or touched < CHANGE_LEAST or touched <= now.known * CHANGE_LIMIT:
        return []
    many = f"{now.changed:,} of {now.known:,} known deals changed and {now.added:,} are new, more than {CHANGE_LIMIT:.0%} at once"
    return [f"{many}{_most(now)}; another setting of the export looks just like that"]


def object_to_reading(differences: Sequence[str], now: ExportStats, *, accept: bool = False) -> list[Objection]:
    """The objection to an export that is read differently than by the last completed sync, if some deals change by it.

    ``differences`` name what is read differently.
    """
    if not differences or accept or not now.known or not (now.changed or now.added or now.gone):
        return []
    why = (
        f"the export is read differently than by the last completed sync ({'; '.join(differences)}), and "
        f"{now.changed:,} of {now.known:,} known deals change, {now.added:,} are new, {now.gone:,} are gone{_most(now)}"
    )
    return [Objection(why, "--accept-reading-change", "If it was read right before, give the options of before.")]


def object_to_deletion(now: ExportStats, limit: str | None) -> list[Objection]:
    """The objection to the number of gone deals that `--missing delete` would delete.

    Args:
        now: the export.
        limit: the most deals to delete, a number such as ``50`` or a share of the known ones such as ``5%``; by default
            :data:`MISSING_LIMIT` of them, or :data:`MISSING_LEAST` where that is more.
    """
    allowed = missing_allowance(now.known, limit)
    if now.gone <= allowed:
        return []
    why = (
        f"{now.gone:,} of {now.known:,} known deals are gone from the export and would be deleted, at most {allowed:,} may be{_named(now)}"
    )
    return [Objection(why, f"--missing-limit {now.gone}", "If they are to stay, use --missing keep.")]


def check_whole(options: SyncOptions, *, quarantine: bool) -> None:
    """Check that an export can tell that a deal is gone: a part of it cannot.

    Raises:
        UsageError: ``options`` take but a part of the export, or it is the file of a ``quarantine``.
    """
    parts = [f"--{name}" for name in ("limit", "pipeline", "currency") if getattr(options, name) is not None]
    if quarantine:
        parts.append("a quarantine file")
    if parts:
        raise UsageError(
            f"--missing delete needs the whole export, and {' and '.join(parts)} takes a part: nothing was sent. "
            "Leave --missing out, or sync the whole export."
        )


def missing_allowance(known: int, limit: str | None) -> int:
    """Number of the ``known`` deals that a ``limit``, as for :func:`object_to_deletion`, lets be deleted."""
    if limit is None:
        return max(MISSING_LEAST, int(known * MISSING_LIMIT))
    return int(known * float(limit[:-1]) / 100) if limit.endswith("%") else int(limit)


def object_to_age(
    max_age: timedelta, modified: datetime | None, newest_update: str | None, *, now: datetime, local_now: datetime
) -> list[Objection]:
    """The objection to an export that is old, or of which nobody knows how old it is.

    Args:
        max_age: the age above which it is not fresh.
        modified: when the file was written, aware; None where nobody knows.
        newest_update: its newest change, naive, in the collection's zone.
        now: this moment, aware.
        local_now: the same, naive, in the collection's zone.
    """
    if modified is not None and modified - now > CLOCKS_APART:
        modified = None  # of the future: it says nothing
    if modified is None and newest_update is None:
        why = (
            "nobody knows how old the export is: its place tells no time of the file, or one of the future, and none of "
            "its deals has a change that is not of the future"
        )
        return [Objection(why, "", "Look at the export, or leave --max-age out.")]
    ages = {}
    if modified is not None:
        ages[f"the file is of {modified.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {in_words(now - modified)} ago"] = now - modified
    if newest_update is not None:
        age = local_now - datetime.fromisoformat(newest_update)
        ages[f"its newest change is of {newest_update}, {in_words(age)} ago"] = age
    old = [said for said, age in ages.items() if age > max_age]
    if not old:
        return []
    enough = f"--max-age {max(ages.values()) // timedelta(hours=1) + 1}h"
    return [Objection(f"the export is older than {in_words(max_age)}: {', and '.join(old)}", enough, "Look why no newer export arrives.")]


def in_words(age: timedelta) -> str:
    """An age as people say it: `40 min`, `36 h`, `12 days`."""
    minutes = max(age.total_seconds(), 0) / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} days"


def old_in_words(modified: datetime, now: datetime) -> str:
    """The age of a file, for people: `36 h old`; one of the future has none."""
    return "dated in the future" if modified - now > CLOCKS_APART else f"{in_words(now - modified)} old"


def _most(now: ExportStats) -> str:
    most = sorted(now.columns.items(), key=lambda column: -column[1])[:_COLUMNS]
    columns = ", ".join(f"{name} of {count:,} of {now.compared:,}" for name, count in most)
    return f"; columns that changed most: {columns} deals" if columns else ""


def _named(now: ExportStats) -> str:
    return f" (their ids are in {now.gone_file})" if now.gone_file else ""
