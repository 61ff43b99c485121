"""Store of everything but deals: collections, upload requests and invocations, in one SQLite file.

One connection under one lock: every statement here is short. ``synchronous=FULL`` makes a committed row survive a power
cut, which is what a 202 promises. Ids are opaque; ``seq`` is the order of acceptance.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployments.sandbox.platform.validation import Report

_SCHEMA = """
CREATE TABLE IF NOT EXISTS collection (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, organisation TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS upload (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, collection TEXT NOT NULL, operation TEXT NOT NULL,
    separator TEXT NOT NULL, accepted TEXT NOT NULL, fate TEXT, status TEXT NOT NULL DEFAULT 'queued',
    message TEXT, errors TEXT);
CREATE INDEX IF NOT EXISTS pending_upload ON upload (collection, seq) WHERE status IN ('queued', 'in_progress');
CREATE TABLE IF NOT EXISTS invocation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, collection TEXT NOT NULL, args TEXT NOT NULL,
    accepted TEXT NOT NULL, had_deals INTEGER NOT NULL, fate TEXT, status TEXT NOT NULL DEFAULT 'queued',
    message TEXT, forecast TEXT);
"""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection and whose it is; ``body`` holds the fields it was created with (D)."""

    id: str
    organisation: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Upload:
    """An accepted append, override (S, D) or delete (D*), whose separator is empty.

    ``accepted`` is the moment of acceptance, UTC; ``fate`` what a fault has in store for it (`faults.FATES`).
    """

    seq: int
    id: str
    collection: str
    operation: str
    separator: str
    accepted: datetime
    fate: str | None
    status: str
    message: str | None
    errors: list[Report] | None


@dataclass(frozen=True, slots=True)
class Invocation:
    """An accepted invocation (D). ``had_deals``: whether the collection held any deal when it was accepted."""

    seq: int
    id: str
    collection: str
    args: dict[str, Any]
    accepted: datetime
    had_deals: bool
    fate: str | None
    status: str
    message: str | None
    forecast: list[dict[str, Any]] | None


class Store:
    """The SQLite file ``sandbox.sqlite`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(folder / "sandbox.sqlite", check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _write(self, statement: str, *values: object) -> int:
        with self._lock, self._connection:
            return self._connection.execute(statement, values).rowcount

    def _insert(self, statement: str, *values: object) -> sqlite3.Row:
        with self._lock, self._connection:
            row: sqlite3.Row = self._connection.execute(statement, values).fetchone()
            return row

    def _rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._connection.executescript("DELETE FROM collection; DELETE FROM upload; DELETE FROM invocation;")

    def requeue(self) -> None:
        """Queue again what a stopped process left in progress: merging by id makes a second go harmless."""
        self._write("UPDATE upload SET status = 'queued' WHERE status = 'in_progress'")
        self._write("UPDATE invocation SET status = 'queued' WHERE status = 'in_progress'")

    def unstick(self) -> None:
        """Let go on what the fault ``stuck`` holds."""
        self._write("UPDATE upload SET fate = NULL WHERE fate = 'stuck'")
        self._write("UPDATE invocation SET fate = NULL WHERE fate = 'stuck'")

    def add_collection(self, organisation: str, body: Mapping[str, Any]) -> Collection:
        """Create a collection, empty (D)."""
        collection = Collection(uuid.uuid4().hex, organisation, dict(body))
        statement = "INSERT INTO collection (id, organisation, body) VALUES (?, ?, ?)"
        self._write(statement, collection.id, organisation, json.dumps(collection.body))
        return collection

    def collections(self, organisation: str, limit: int, offset: int) -> tuple[int, list[Collection]]:
        """Return how many collections the organisation has, and a page of them, oldest first."""
        [count] = self._rows("SELECT count(*) FROM collection WHERE organisation = ?", organisation)
        statement = "SELECT * FROM collection WHERE organisation = ? ORDER BY seq LIMIT ? OFFSET ?"
        return count[0], [_collection(row) for row in self._rows(statement, organisation, limit, offset)]

    def collection(self, organisation: str, identifier: str) -> Collection | None:
        """Return a collection of the organisation."""
        rows = self._rows("SELECT * FROM collection WHERE id = ? AND organisation = ?", identifier, organisation)
        return _collection(rows[0]) if rows else None

    def add_upload(self, identifier: str, collection: str, operation: str, separator: str, fate: str | None) -> Upload:
        """Accept an upload whose file lies on disk already; durable on return."""
        statement = "INSERT INTO upload (id, collection, operation, separator, accepted, fate) VALUES (?, ?, ?, ?, ?, ?) RETURNING *"
        return _upload(self._insert(statement, identifier, collection, operation, separator, datetime.now(UTC).isoformat(), fate))

    def upload(self, identifier: str) -> Upload | None:
        """Return an upload."""
        rows = self._rows("SELECT * FROM upload WHERE id = ?", identifier)
        return _upload(rows[0]) if rows else None

    def uploads(self, organisation: str) -> list[Upload]:
        """Return the organisation's uploads in the order of acceptance."""
        statement = "SELECT upload.* FROM upload JOIN collection c ON c.id = collection WHERE organisation = ? ORDER BY upload.seq"
        return [_upload(row) for row in self._rows(statement, organisation)]

    def next_upload(self, collection: str) -> Upload | None:
        """Return the collection's oldest upload that has not ended."""
        rows = self._rows(
            "SELECT * FROM upload WHERE collection = ? AND status IN ('queued', 'in_progress') ORDER BY seq LIMIT 1", collection
        )
        return _upload(rows[0]) if rows else None

    def add_invocation(self, collection: str, args: Mapping[str, Any], *, had_deals: bool, fate: str | None) -> Invocation:
        """Accept an invocation; durable on return."""
        values = (uuid.uuid4().hex, collection, json.dumps(args), datetime.now(UTC).isoformat(), had_deals, fate)
        statement = "INSERT INTO invocation (id, collection, args, accepted, had_deals, fate) VALUES (?, ?, ?, ?, ?, ?) RETURNING *"
        return _invocation(self._insert(statement, *values))

    def invocation(self, identifier: str) -> Invocation | None:
        """Return an invocation."""
        rows = self._rows("SELECT * FROM invocation WHERE id = ?", identifier)
        return _invocation(rows[0]) if rows else None

    def pending(self) -> tuple[list[str], list[str]]:
        """Return the collections with uploads that have not ended, and the invocations that have not."""
        collections = self._rows("SELECT DISTINCT collection FROM upload WHERE status IN ('queued', 'in_progress')")
        invocations = self._rows("SELECT id FROM invocation WHERE status IN ('queued', 'in_progress') ORDER BY seq")
        return [row[0] for row in collections], [row[0] for row in invocations]

    def is_stuck(self, job: Upload | Invocation) -> bool:
        """True while the fault ``stuck`` holds a job."""
        [row] = self._rows(f"SELECT fate = 'stuck' FROM {_TABLE[type(job)]} WHERE id = ?", job.id)  # noqa: S608 - one of our two tables
        return bool(row[0])

    def advance(self, job: Upload | Invocation) -> None:
        """Set a job in progress."""
        self._write(f"UPDATE {_TABLE[type(job)]} SET status = 'in_progress' WHERE id = ?", job.id)  # noqa: S608 - one of our two tables

    def end_upload(self, upload: Upload, message: str | None, errors: list[Report] | None) -> None:
        """End an upload: in `error` where there is a message."""
        statement = "UPDATE upload SET status = ?, message = ?, errors = ? WHERE id = ?"
        self._write(statement, "error" if message else "completed", message, json.dumps(errors), upload.id)

    def end_invocation(self, invocation: Invocation, message: str | None, forecast: list[dict[str, Any]] | None) -> None:
        """End an invocation: in `error` where there is a message."""
        statement = "UPDATE invocation SET status = ?, message = ?, forecast = ? WHERE id = ?"
        self._write(statement, "error" if message else "completed", message, json.dumps(forecast), invocation.id)


_TABLE = {Upload: "upload", Invocation: "invocation"}


def _collection(row: sqlite3.Row) -> Collection:
    return Collection(row["id"], row["organisation"], json.loads(row["body"]))


def _upload(row: sqlite3.Row) -> Upload:
    fields = dict(row)
    fields |= {"accepted": datetime.fromisoformat(fields["accepted"]), "errors": json.loads(fields["errors"] or "null")}
    return Upload(**fields)


def _invocation(row: sqlite3.Row) -> Invocation:
    fields = dict(row)
    fields |= {"accepted": datetime.fromisoformat(fields["accepted"]), "args": json.loads(fields["args"])}
    fields |= {"had_deals": bool(fields["had_deals"]), "forecast": json.loads(fields["forecast"] or "null")}
    return Invocation(**fields)
