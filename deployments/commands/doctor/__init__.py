"""``dealcast doctor``: is everything there that a sync needs? One line for each part, with the remedy; nothing is sent or changed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import uuid4

import click
import httpx

from deployments.commands.doctor.prefect_findings import Finding, prefect_findings
from deployments.console import InertConsole
from flows.crm.files.location import fetch
from flows.errors import DealcastError, ExportNotFound, FileTrouble, NotFound, UsageError
from flows.ledger.store import Ledger
from flows.settings import Settings, load_settings, unknown_variables

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red"}
_FULL = 1 << 30
"""Bytes that should be free where syncs are staged."""

_CLOCK = timedelta(seconds=30)
"""Allowed difference between this machine's clock and the platform's."""


def doctor(export: str | None, collection: str | None, max_age: float, *, as_json: bool) -> int:
    """Examine what a sync needs, and print it.

    Args:
        export: path, glob or URL of an export to look for; None: that is not examined.
        collection: id or name of a collection that the token must see; None: any.
        max_age: hours that the export may be old.
        as_json: print one object in place of lines.

    Returns:
        0, or the exit code of the first failure.
    """
    findings, console = [], InertConsole(highlight=False, markup=False, soft_wrap=True)
    for finding in examine(export, collection, max_age):
        findings.append(finding)
        if not as_json:
            console.print(f"{finding.status:>7}", style=_COLOURS[finding.status], end="")
            console.print(f"  {finding.check:<12}{finding.message} {finding.remedy}".rstrip())
    code = next((finding.code for finding in findings if finding.status == "failed"), 0)
    if as_json:
        click.echo(json.dumps({"outcome": "failed" if code else "ok", "exit_code": code, "checks": [asdict(each) for each in findings]}))
    return code


def examine(export: str | None, collection: str | None, max_age: float) -> Iterator[Finding]:
    """Each part in turn; one that fails does not keep the others from being examined."""
    try:
        settings = load_settings()
    except UsageError as error:
        yield _failure("settings", error)
        return
    yield _variables()
    if settings.config:
        yield Finding("config", "ok", f"{settings.config} is read; `dealcast config show` prints what holds.")
    yield _folder("home", settings.home_folder)
    yield from _ledger(settings, collection)
    yield from _platform(settings, collection)
    yield from prefect_findings()
    if export is not None:
        yield _export(export, max_age)


def _failure(check: str, error: DealcastError) -> Finding:
    return Finding(check, "failed", " ".join(str(error).split()), code=error.exit_code)


def _variables() -> Finding:
    if unknown := unknown_variables():
        return Finding("settings", "warning", f"{', '.join(unknown)}: no such setting.", "See the settings in deployments/README.md.")
    return Finding("settings", "ok", "every DEALCAST_... variable is known.")


def _folder(check: str, folder: Path) -> Finding:
    """A folder that dealcast writes into, or will make: its nearest existing parent must let it."""
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        error.filename = str(place)
        return _failure(check, FileTrouble.of(error))
    if place == folder and folder.stat().st_mode & 0o077:
        return Finding(check, "warning", f"{folder} can be read by others.", f"Run `chmod 700 {folder}`.")
    if free < _FULL:
        return Finding(check, "warning", f"{folder}: {free / 1e9:.1f} GB are free.", "Make room: a sync stages its export there.")
    return Finding(check, "ok", f"{folder} can be written{'' if place == folder else ', and will be made'}.")


def _ledger(settings: Settings, collection: str | None) -> Iterator[Finding]:
    url = settings.ledger_url
    if "://" not in url:
        yield _folder("ledger", Path(url))
    else:
        yield _store(url)
    if collection is None:
        return
    try:
        kept = Ledger(url)
        synced = [each for each in kept.collections() if collection in (each, kept.name_of(each))]
        entries = [entry for each in synced for entry in kept.entries(each)]
    except (DealcastError, OSError) as error:
        yield _failure("last sync", error if isinstance(error, DealcastError) else FileTrouble(str(error)))
        return
    unfinished = [entry for entry in entries if not entry.finished]
    if unfinished:
        newest = unfinished[-1]
        what = f"a sync begun {newest.created_at:%Y-%m-%d %H:%M} UTC has not ended ({newest.upload.state})."
        yield Finding("last sync", "warning", what, f"The next sync resumes it, or `dealcast resume --collection {collection}`.")
    elif entries:
        newest = entries[-1]
        yield Finding("last sync", "ok", f"{newest.upload.state}, begun {newest.created_at:%Y-%m-%d %H:%M} UTC.")
    else:
        yield Finding("last sync", "ok", "none is in the ledger yet: the first one sends every deal.")


def _store(url: str) -> Finding:
    """A ledger on an object store: a file is written, read and removed."""
    try:
        ledger, name = Ledger(url), f"_doctor-{uuid4().hex}"
        ledger.put("_doctor", name, b"probe")
        read = ledger.get("_doctor", name)
        ledger.delete("_doctor", name)
    except UsageError as error:
        return _failure("ledger", error)
    except Exception as error:  # noqa: BLE001 - each store raises errors of its own
        return Finding("ledger", "failed", f"DEALCAST_LEDGER cannot be used ({type(error).__name__}).", "Check its URL and rights.", 1)
    if read != b"probe":
        return Finding("ledger", "failed", "DEALCAST_LEDGER does not return what was written.", "Use a store that is consistent.", 1)
    return Finding("ledger", "ok", "DEALCAST_LEDGER can be written and read.")


def _platform(settings: Settings, collection: str | None) -> Iterator[Finding]:
    try:
        with settings.platform() as platform:
            found = list(platform.collections())
    except DealcastError as error:
        yield _failure("platform", error)
        return
    yield Finding("platform", "ok", f"{settings.platform_url} answers; the token sees {len(found)} collection{'s'[: len(found) != 1]}.")
    yield from _clock(settings.platform_url)
    if collection is None:
        return
    named = [each for each in found if collection in (each.id, each.name)]
    if not named:
        known = "`dealcast collections list` shows those that it sees."
        yield Finding("collection", "failed", f"the token sees no collection {collection}.", known, NotFound.exit_code)
    elif len(named) > 1:
        yield Finding("collection", "warning", f"{len(named)} collections are named {collection}.", "Use the id of one.")
    elif named[0].timezone is None:
        yield Finding("collection", "warning", f"the platform tells no timezone of {collection}.", "Give it with --timezone.")
    else:
        yield Finding("collection", "ok", f"{named[0].name} ({named[0].id}), in {named[0].timezone}.")


def _clock(url: str) -> Iterator[Finding]:
    """This machine's clock beside the ``Date`` of the platform's answer, where it has one."""
    try:
        answer = httpx.get(url, trust_env=url.startswith("https"), timeout=10)
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return
    off = datetime.now(UTC) - theirs
    if abs(off) > _CLOCK:
        what = f"this machine's clock is {abs(off).total_seconds():.0f} s {'ahead of' if off > timedelta() else 'behind'} the platform's."
        yield Finding("clock", "failed", what, "Set it by NTP: deadlines and leases count on it.", 1)
    else:
        yield Finding("clock", "ok", "agrees with the platform's.")


def _export(location: str, max_age: float) -> Finding:
    try:
        export = fetch(location)
    except DealcastError as error:
        return _failure("export", error)
    try:
        what, modified = f"{export.size:,} bytes", export.modified
    finally:
        export.close()
    if modified is None:
        return Finding("export", "ok", f"found, {what}; nothing says how old it is.")
    hours = (datetime.now(UTC) - modified).total_seconds() / 3600
    if hours > max_age:
        remedy = "Ask why the CRM writes none, or allow more with --max-age DURATION."
        return Finding("export", "failed", f"the newest is {hours:,.0f} hours old.", remedy, ExportNotFound.exit_code)
    return Finding("export", "ok", f"found, {what}, {hours:,.0f} hours old.")
