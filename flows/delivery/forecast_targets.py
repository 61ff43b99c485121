"""The history of forecasts where people look at it: files at any fsspec URL, or a table in any database that SQLAlchemy knows.

The ledger has the history. Each delivery brings a target up to it as a whole, so that the next one makes up for one that failed.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from flows.errors import DealcastError
from flows.ledger.forecast_history import FILE, SCHEMA, read_history
from flows.ledger.store import Ledger
from flows.options import is_database, shown_url
from flows.runtime.atomic_files import write_whole
from flows.runtime.remote import url_to_fs

DELIVERED = "_delivered.json"
"""The ledger's file that says by target which history was delivered last, both by their hashes."""

_ONE_FILE = threading.Lock()
"""Held while a file with several collections is rewritten, since this process may deliver for many."""

_EXCERPT = 200


def deliver_history(ledger: Ledger, collection: str, targets: Iterable[str]) -> tuple[str, ...]:
    """Bring each target up to the collection's history of forecasts, where it is not already.

    Args:
        ledger: has the history, and remembers what was delivered.
        collection: id of the platform's collection.
        targets: URLs of :func:`flows.options.checked_target`'s kinds, with their credentials.

    Returns:
        A sentence for each target that was not reached, without its credentials; a later call makes up for it.
    """
    data = ledger.get(collection, FILE)
    if data is None:
        return ()
    version = hashlib.sha256(data).hexdigest()
    delivered: dict[str, str] = ledger.json(collection, DELIVERED) or {}
    failed = []
    for target in targets:
        key = hashlib.sha256(target.encode()).hexdigest()
        if delivered.get(key) == version:
            continue
        try:
            _deliver(target, read_history(ledger, collection), collection)
        except Exception as error:  # noqa: BLE001 - each store and database has errors of its own, and none of them is worth the sync
            failed.append(f"{shown_target(target)}: {_reason(error, target)}")
        else:
            delivered[key] = version
            ledger.put_json(collection, DELIVERED, delivered)
    return tuple(failed)


def shown_target(target: str) -> str:
    """The target without user, password and query."""
    where, mark, table = target.rpartition("#") if is_database(target) else (target, "", "")
    return f"{shown_url(where).partition('?')[0]}{mark}{table}"


def _deliver(target: str, history: pa.Table, collection: str) -> None:
    if is_database(target):
        from flows.delivery.forecast_database import bring_up  # noqa: PLC0415 - most syncs deliver to no database

        url, _, table = target.rpartition("#")
        bring_up(url, table, history)
    elif target.endswith((".parquet", ".csv")):
        with _ONE_FILE:
            _write(target, pa.concat_tables([_of_others(target, collection), history]))
    else:
        for ending in ("parquet", "csv"):
            _write(f"{target.rstrip('/')}/{collection}.{ending}", history)


def _of_others(url: str, collection: str) -> pa.Table:
    """The rows that the file has of other collections; none where there is no file.

    Raises:
        DealcastError: it is something else than a table of forecasts, and is not to be overwritten.
    """
    fs, path = url_to_fs(url)
    fs.invalidate_cache()
    if not fs.exists(path):
        return SCHEMA.empty_table()
    data = fs.cat_file(path)
    try:
        held = pq.read_table(io.BytesIO(data)) if url.endswith(".parquet") else _from_csv(data)
        held = held.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, KeyError) as error:
        raise DealcastError("the file there is no table of forecasts, and was left as it is") from error
    return held.filter(pc.not_equal(held["collection"], collection))


def _from_csv(data: bytes) -> pa.Table:
    types = pv.ConvertOptions(column_types=SCHEMA, strings_can_be_null=True, quoted_strings_can_be_null=False)
    return pv.read_csv(io.BytesIO(data), convert_options=types)


def _write(url: str, table: pa.Table) -> None:
    """Put the table there in the form that the name's ending says, whole or not at all."""
    sink = io.BytesIO()
    if url.endswith(".csv"):
        pv.write_csv(table, sink)
    else:
        pq.write_table(table, sink, compression="zstd")
    fs, path = url_to_fs(url)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    if isinstance(fs, LocalFileSystem):
        write_whole(Path(path), [sink.getvalue()], shared=True)
    else:
        fs.pipe_file(path, sink.getvalue())


def _reason(error: Exception, target: str) -> str:
    """The error's kind and first line, without the password that the target has."""
    first = next(iter(str(getattr(error, "orig", None) or error).strip().splitlines()), "")
    secrets = [part for part in target.rpartition("@")[0].partition("://")[2].split(":") if part]
    for secret in secrets[1:]:
        first = first.replace(secret, "...")
    return (
        f"{first[:_EXCERPT]} ({type(error).__name__})" if first and not isinstance(error, DealcastError) else first or type(error).__name__
    )
