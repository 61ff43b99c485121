"""``dealcast status``: each collection's last export, sync and forecast, and what is under way, by the ledger alone."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from flows.deals.export_guard import CLOCKS_APART, in_words, object_to_age
from flows.errors import FileTrouble, LedgerDamaged, NotFound, StoppedByGuard, printable
from flows.ledger.export_baseline import load_baseline
from flows.ledger.store import HOLDER, TIMEZONE, Entry, Ledger
from flows.nostradamus import Nostradamus
from flows.options import age_of
from flows.settings import load_settings

STALE = StoppedByGuard.exit_code
"""The exit code where a collection is older than ``--max-age``."""


def status(collection: str | None, *, as_json: bool, max_age: str | None, ask: bool) -> int:
    """Print what the ledger knows of one collection, or of all.

    Returns:
        The exit code: 0. :data:`STALE` if a collection, or a forecast that it wants, is older than ``max_age``, if a collection has never
        completed a sync, or if there is none. LedgerDamaged's if files of one of several are damaged or cannot be read; that one's place
        in the output says so.

    Raises:
        UsageError: the ledger knows no such collection.
        LedgerDamaged: a file of the one collection is.
        NotFound: with ``ask``, the platform knows one of them no longer.
        PlatformUnavailable: with ``ask``, the platform cannot be reached.
    """
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    chosen = [ledger.find(collection)] if collection else ledger.collections()
    now = datetime.now(UTC)
    found = [_status_of(ledger, each, max_age, now) if collection else _status_among(ledger, each, max_age, now) for each in chosen]
    if ask:
        with settings.platform() as platform:
            _ask(found, platform)
    if as_json:
        click.echo(json.dumps({"collections": found}, default=str))
    else:
        click.echo(printable("\n".join(_text(each, now) for each in found)) or "The ledger knows no collection yet.")
    if lost := [each["collection"] for each in found if each.get("platform") == "unknown"]:
        raise NotFound(f"The platform knows these collections no longer, for this token: {', '.join(lost)}.")
    if any("damaged" in each for each in found):
        return LedgerDamaged.exit_code
    nothing = max_age is not None and not found  # another ledger than is meant, or a lost one, is not fresh
    return STALE if nothing or any(each["stale"] for each in found) else 0


def _status_among(ledger: Ledger, collection: str, max_age: str | None, now: datetime) -> dict[str, Any]:
    """The same of one of many, whose damage hides none of the others."""
    try:
        return _status_of(ledger, collection, max_age, now)
    except LedgerDamaged as error:
        return {"collection": collection, "damaged": str(error)}
    except OSError as error:
        return {"collection": collection, "damaged": str(FileTrouble.of(error))}


def _status_of(ledger: Ledger, collection: str, max_age: str | None, now: datetime) -> dict[str, Any]:
    """One collection as an object of ``--json``: times are ISO 8601, what is not known is null."""
    entries, export = ledger.entries(collection), load_baseline(ledger, collection)
    completed = [entry for entry in entries if entry.upload.state == "completed"]
    forecast = next((entry for entry in reversed(entries) if entry.forecast and entry.forecast.state == "completed"), None)
    zone = ledger.line(collection, TIMEZONE)
    return {
        "collection": collection,
        "name": ledger.name_of(collection),
        "last_export": export and {name: export.get(name) for name in ("path", "modified", "newest_update", "read_at", "deals")},
        "last_sync": _sync(completed[-1]) if completed else None,
        "held": _held(ledger, collection, entries),
        "gone": (export or {}).get("vanished") or 0,
        "quarantined": (export or {}).get("quarantined") or (completed[-1].quarantined if completed and not export else 0),
        "in_doubt": sum(entry.in_doubt and entry.upload.state in ("intended", "unknown", "unsent", "refused") for entry in entries),
        "late": sum(entry.late_since is not None for entry in entries),
        "last_forecast": forecast and _forecast(forecast),
        "in_flight": [_flight(entry) for entry in entries if not entry.finished],
        "lock": _holder(ledger, collection),
        "stale": None if max_age is None else _staleness(export, zone, age_of(max_age), now) or _overdue(entries, age_of(max_age), now),
    }


def _held(ledger: Ledger, collection: str, entries: Sequence[Entry]) -> int:
    """Deals in the content index: as its last sync noted, else as the index's own footer says."""
    noted = next((entry.held for entry in reversed(entries) if entry.held is not None), None)
    if noted is not None:
        return noted
    from flows.deals.index.index_file import deals_held  # noqa: PLC0415 - pyarrow takes longer to import than all ledgers to read

    return deals_held(ledger, collection)


def _sync(entry: Entry) -> dict[str, Any]:
    return {"request_id": entry.upload.id, "mode": entry.mode, "completed_at": entry.upload.completed_at, "rows": entry.rows}


def _forecast(entry: Entry) -> dict[str, Any]:
    done = entry.forecast
    return {"invocation_id": done and done.id, "completed_at": done and done.completed_at, "months": entry.predicted}


def _flight(entry: Entry) -> dict[str, Any]:
    waits = entry.forecast if entry.upload.state == "completed" else entry.upload
    what = "forecast" if entry.upload.state == "completed" else entry.mode
    return {"what": what, "state": waits.state if waits else "wanted", "id": waits and waits.id, "since": waits and waits.intended_at}


def _holder(ledger: Ledger, collection: str) -> dict[str, Any] | None:
    """The lock's holder as it wrote itself down; ``died`` is there, and true, where it was a process of this machine that is no more."""
    with suppress(ValueError):
        holder = dict(json.loads(ledger.get(collection, HOLDER) or b"{}"))
        if holder.get("host") == socket.gethostname():
            try:
                os.kill(int(holder["pid"]), 0)
            except ProcessLookupError:
                holder["died"] = True
            except (KeyError, OSError, OverflowError):  # there, though another user's; or no number of a process
                pass
        return holder or None
    return None


def _staleness(export: Mapping[str, Any] | None, zone: str | None, max_age: timedelta, now: datetime) -> str | None:
    """The reason why the collection is older than ``max_age``, in words; None where it is not."""
    if export is None:
        return "no sync of a whole export has completed"
    modified = export.get("modified") or export.get("read_at")
    try:
        local = now.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None)
    except ZoneInfoNotFoundError:
        local = now.replace(tzinfo=None)
    objections = object_to_age(
        max_age, datetime.fromisoformat(modified) if modified else None, export.get("newest_update"), now=now, local_now=local
    )
    return "; ".join(f"{each.why}. {each.remedy}" for each in objections) or None


def _overdue(entries: Sequence[Entry], max_age: timedelta, now: datetime) -> str | None:
    """A sentence on a forecast that is wanted and has not come for longer than ``max_age``: each sync may have failed at it alone."""
    if not any(entry.awaits_forecast for entry in entries):
        return None
    came = [entry.forecast.completed_at for entry in entries if entry.forecast and entry.forecast.completed_at]
    since = max(came, default=entries[0].created_at)
    said = "the last one came" if came else "none has come since the first sync,"
    return f"a forecast is wanted, and {said} {_ago(since, now)}" if now - since > max_age else None


def _ask(found: Sequence[dict[str, Any]], platform: Nostradamus) -> None:
    held = {collection.id for collection in platform.collections()}
    for each in found:
        each["platform"] = "known" if each["collection"] in held else "unknown"


def _text(each: Mapping[str, Any], now: datetime) -> str:
    if "damaged" in each:
        return f"{each['collection']}: DAMAGED, {each['damaged']}"
    head = each["collection"] + (f" ({each['name']})" if each["name"] else "")
    export, sync, forecast = each["last_export"], each["last_sync"], each["last_forecast"]
    lines = [head + (f": OLD, {each['stale']}" if each["stale"] else "")]
    lines.append(f"  export     {_export(export, now)}" if export else "  export     none yet")
    lines.append(
        f"  sync       {sync['mode']} of {sync['rows']:,}, completed {_ago(sync['completed_at'], now)}" if sync else "  sync       none"
    )
    doubt = f", {each['in_doubt']} uploads in doubt" if each["in_doubt"] else ""
    doubt += f", {each['late']} uploads that the platform may take in late" if each["late"] else ""
    lines.append(f"  deals      {each['held']:,} held, {each['gone']:,} gone, {each['quarantined']:,} quarantined{doubt}")
    months = forecast["months"] if forecast else []
    span = f"{months[0]} to {months[-1]}, " if months else ""
    lines.append(f"  forecast   {span}completed {_ago(forecast['completed_at'], now)}" if forecast else "  forecast   none")
    lines += [f"  under way  {one['what']} {one['id'] or ''} {one['state']}, {_ago(one['since'], now)}" for one in each["in_flight"]]
    if lock := each["lock"]:
        who = f"process {lock.get('pid')} on {lock.get('host')}, since {lock.get('since')}"
        lines.append(f"  left by    {who}, which is no more: the next sync takes over" if lock.get("died") else f"  locked by  {who}")
    if "platform" in each:
        lines.append(f"  platform   {each['platform']}")
    return "\n".join(lines)


def _export(export: Mapping[str, Any], now: datetime) -> str:
    written = f", written {_ago(datetime.fromisoformat(export['modified']), now)}" if export["modified"] else ""
    newest = f", newest change {export['newest_update']}" if export["newest_update"] else ""
    return f"{export['path'] or '(not remembered)'}{written}{newest}"


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "at an unknown time"
    return "in the future, by its clock" if moment - now > CLOCKS_APART else f"{in_words(now - moment)} ago"
