"""``dealcast doctor``: is everything there that a sync needs? One line for each part, with the remedy; nothing is sent or changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import click
import httpx

from deployments.command_line.console import InertConsole
from deployments.commands.doctor import findings
from deployments.commands.doctor.findings import Finding
from deployments.commands.doctor.prefect_findings import prefect_findings
from deployments.project.config_file import Project
from flows.crm.dialect import load_dialect
from flows.crm.files.location import fetch
from flows.errors import DealcastError, FileTrouble, NotFound, StoppedByGuard, UsageError
from flows.ledger.store import Ledger
from flows.nostradamus import Collection
from flows.options import age_of
from flows.settings import Settings, load_settings, unknown_variables

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red"}
_FULL = 1 << 30
"""Bytes that should be free where syncs are staged."""

_CLOCK = timedelta(seconds=30)
"""Allowed difference between this machine's clock and the platform's."""


class Sync(NamedTuple):
    """A sync whose needs are examined."""

    export: str | None
    """Path, glob or URL; None: it is not examined."""
    collection: str | None
    """Id or name of a collection that the token must see; None: any."""
    max_age: float
    """Hours that the export may be old."""
    crm: str | None = None
    """Name or file of the dialect; None: it is not examined."""


def syncs_of(project: Project | None, export: str | None, collection: str | None, max_age: float) -> list[Sync]:
    """List the sync of the command line or, where it names neither export nor collection, those of the `dealcast.toml`."""
    if project is None or not project.collections or export or collection:
        return [Sync(export, collection, max_age, project.options(collection).get("crm") if project else None)]
    of_file = project.collections.items()
    return [
        Sync(said.get("export"), name, _hours(said["max_age"]) if said.get("max_age") else max_age, said.get("crm"))
        for name, said in of_file
    ]


def _hours(age: str) -> float:
    return age_of(age).total_seconds() / 3600


def examine_and_print(syncs: Sequence[Sync], *, as_json: bool) -> int:
    """Examine what ``syncs`` need, and print it.

    Args:
        syncs: one at least.
        as_json: print one object in place of lines.

    Returns:
        0, or the exit code of the first failure.
    """
    found, console = [], InertConsole(highlight=False, markup=False, soft_wrap=True)
    for finding in examine(syncs):
        found.append(finding)
        if not as_json:
            console.print(f"{finding.status:>7}", style=_COLOURS[finding.status], end="")
            console.print(f"  {finding.check:<12}{finding.message} {finding.remedy}".rstrip())
    code = next((finding.code for finding in found if finding.status == "failed"), 0)
    if as_json:
        click.echo(json.dumps({"outcome": "failed" if code else "ok", "exit_code": code, "checks": [asdict(each) for each in found]}))
    return code


def examine(syncs: Sequence[Sync]) -> Iterator[Finding]:
    """Each part in turn; one that fails does not keep the others from being examined."""
    try:
        settings = load_settings()
    except UsageError as error:
        yield _failure("settings", error)
        return
    yield _variables()
    yield from _installations()
    if settings.config:
        yield Finding("config", "ok", f"{settings.config} is read; `dealcast config show` prints what holds.")
    yield _folder("home", settings.home_folder)
    yield from _suite(settings.extra_suite)
    yield from _ledger(settings, [sync.collection for sync in syncs if sync.collection])
    yield from _platform(settings, [sync.collection for sync in syncs if sync.collection])
    yield from prefect_findings()
    for sync in syncs:
        of = f"of {sync.collection}: " if len(syncs) > 1 else ""
        if sync.crm is not None:
            yield _dialect(sync.crm, of)
        if sync.export is not None:
            yield _export(sync, of)


def _failure(check: str, error: DealcastError) -> Finding:
    """An error as a finding: its first sentence says what is wrong, the others what to do."""
    text = " ".join(str(error).split())
    what, *remedy = re.split(r"(?<=[.?!]) (?=[A-Z`])", text, maxsplit=1)
    if not remedy and ": " in text:
        what, _, how = text.rpartition(": ")
        what, remedy = f"{what}.", [f"{how[:1].upper()}{how[1:]}"]
    return Finding(check, "failed", what, " ".join(remedy), error.exit_code)


def _variables() -> Finding:
    if unknown := unknown_variables():
        return Finding("settings", "warning", f"{', '.join(unknown)}: no such setting.", "See the settings in deployments/README.md.")
    return Finding("settings", "ok", "every DEALCAST_... variable is known.")


def _installations() -> Iterator[Finding]:
    """Other commands of the name that the shell's PATH has, which may be of another version."""
    mine = Path(sys.executable).with_name("dealcast").resolve()
    places = {(Path(folder) / "dealcast").resolve() for folder in os.environ.get("PATH", "").split(os.pathsep) if folder}
    if others := sorted(str(each) for each in places - {mine} if each.is_file() and os.access(each, os.X_OK)):
        remedy = "Keep one, or see that `dealcast --version` of each says the same: shell, cron and workers may take different ones."
        yield Finding("installed", "warning", f"PATH has {', '.join(others)} besides {mine}.", remedy)


def _dialect(crm: str, of: str) -> Finding:
    try:
        name = load_dialect(crm).name
    except DealcastError as error:
        return _failure("dialect", error)
    return Finding("dialect", "ok", f"{of}{name} can be read.")


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


def _suite(path: Path | None) -> Iterator[Finding]:
    """The file of a user's own expectations, as far as it can be told without Great Expectations."""
    if path is None:
        return
    try:
        json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"DEALCAST_EXTRA_SUITE names {path}, which cannot be read ({type(error).__name__})."
        yield Finding("suite", "failed", what, "Name a Great Expectations suite in JSON.", UsageError.exit_code)
    else:
        yield Finding("suite", "ok", f"{path} is read besides the rules of the platform.")


def _ledger(settings: Settings, collections: Sequence[str]) -> Iterator[Finding]:
    url = settings.ledger_url
    if "://" not in url:
        yield _folder("ledger", Path(url))
    else:
        yield _store(url)
    for collection in collections:
        yield _last_sync(url, collection, f"of {collection}: " if len(collections) > 1 else "")


def _last_sync(url: str, collection: str, of: str) -> Finding:
    try:
        kept = Ledger(url)
        synced = [each for each in kept.collections() if collection in (each, kept.name_of(each))]
        entries = [entry for each in synced for entry in kept.entries(each)]
    except (DealcastError, OSError) as error:
        return _failure("last sync", error if isinstance(error, DealcastError) else FileTrouble(str(error)))
    unfinished = [entry for entry in entries if not entry.finished]
    if unfinished:
        newest = unfinished[-1]
        what = f"{of}a sync begun {newest.created_at:%Y-%m-%d %H:%M} UTC has not ended ({newest.upload.state})."
        return Finding("last sync", "warning", what, f"The next sync resumes it, or `dealcast resume --collection {collection}`.")
    if entries:
        newest = entries[-1]
        return Finding("last sync", "ok", f"{of}{newest.upload.state}, begun {newest.created_at:%Y-%m-%d %H:%M} UTC.")
    return Finding("last sync", "ok", f"{of}none is in the ledger yet: the first one sends every deal.")


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


def _platform(settings: Settings, collections: Sequence[str]) -> Iterator[Finding]:
    try:
        with settings.platform() as platform:
            found = list(platform.collections())
    except DealcastError as error:
        yield _failure("platform", error)
        return
    yield Finding("platform", "ok", f"{settings.platform_url} answers; the token sees {len(found)} collection{'s'[: len(found) != 1]}.")
    yield from _clock(settings.platform_url)
    for collection in collections:
        yield _collection(collection, found)


def _collection(collection: str, found: Sequence[Collection]) -> Finding:
    named = [each for each in found if collection in (each.id, each.name)]
    if not named:
        known = "`dealcast collections list` shows those that it sees."
        return Finding("collection", "failed", f"the token sees no collection {collection}.", known, NotFound.exit_code)
    if len(named) > 1:
        return Finding("collection", "warning", f"{len(named)} collections are named {collection}.", "Use the id of one.")
    if named[0].timezone is None:
        return Finding("collection", "warning", f"the platform tells no timezone of {collection}.", "Give it with --timezone.")
    return Finding("collection", "ok", f"{named[0].name} ({named[0].id}), in {named[0].timezone}.")


def _clock(url: str) -> Iterator[Finding]:
    """This machine's clock beside the ``Date`` of the platform's answer, where it has one."""
    try:
        answer = httpx.get(url, trust_env=url.startswith("https"), timeout=findings.ANSWER_SECONDS)
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return
    off = datetime.now(UTC) - theirs
    if abs(off) > _CLOCK:
        what = f"this machine's clock is {abs(off).total_seconds():.0f} s {'ahead of' if off > timedelta() else 'behind'} the platform's."
        yield Finding("clock", "failed", what, "Set it by NTP: deadlines and leases count on it.", 1)
    else:
        yield Finding("clock", "ok", "agrees with the platform's.")


def _export(sync: Sync, of: str) -> Finding:
    try:
        export = fetch(str(sync.export))
    except DealcastError as error:
        return _failure("export", error)
    try:
        what, modified = f"{export.size:,} bytes", export.modified
    finally:
        export.close()
    if modified is None:
        return Finding("export", "ok", f"{of}found, {what}; nothing says how old it is.")
    hours = (datetime.now(UTC) - modified).total_seconds() / 3600
    if hours > sync.max_age:
        remedy = "Ask why the CRM writes none, or allow more with --max-age DURATION."
        return Finding("export", "failed", f"{of}the newest is {hours:,.0f} hours old.", remedy, StoppedByGuard.exit_code)
    return Finding("export", "ok", f"{of}found, {what}, {hours:,.0f} hours old.")
