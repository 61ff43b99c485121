"""Gone deals: known ones that the export has no longer, named for people, and for the delete that `sync_deals` sends."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from expectations.formats import one_chunk
from flows.deals.export_guard import LISTED
from flows.deals.index.content_hash import DEAL, Fingerprint, hash_ids
from flows.deals.index.content_index import ContentIndex
from flows.deals.index.index_file import SCHEMA, DealsFile, ids_in
from flows.deals.index.known_deals import held
from flows.deals.records import CheckedDeals, GoneDeals
from flows.ledger.store import Ledger
from flows.options import SyncOptions
from flows.runtime.atomic_files import private_folder, write_whole


def gone_ids(ledger: Ledger, collection: str, index: ContentIndex) -> Iterator[pa.Array]:
    """The ids, as text, of known deals that the export was not seen to have."""
    for rows in held(ledger, collection, ledger.entries(collection)):
        unseen = rows.only(index.unseen(rows.ids))
        yield one_chunk(unseen.table["id"]).drop_null()


def name_gone(checked: CheckedDeals, gone: Iterable[pa.Array], path: Path, options: SyncOptions) -> CheckedDeals:
    """``checked`` with the ids of gone deals: all of them in a file of the form of those that are sent, the first for people."""
    named: list[str] = []
    count, fingerprint = 0, Fingerprint(options.collection, "delete")
    with DealsFile(path) as file:
        for ids in gone:
            count += len(ids)
            fingerprint.add(hash_ids(ids).astype(DEAL))
            file.write(pa.table([ids, pa.nulls(len(ids)), pa.nulls(len(ids))], names=SCHEMA.names).cast(SCHEMA))
            named += ids[: LISTED - len(named)].to_pylist()
    found = GoneDeals(path, count, fingerprint.hex()) if count else None
    return replace(checked, gone=found, stats=replace(checked.stats, gone_ids=tuple(named)))


def keep_gone(checked: CheckedDeals, place: Path) -> CheckedDeals:
    """Write the ids of the deals that are gone into ``gone.csv`` in the folder ``place``, the one place that has them as they are.

    Where none is gone, an earlier sync's file is removed.
    """
    path = place / "gone.csv"
    if checked.gone is None:
        path.unlink(missing_ok=True)
        return checked
    sink = io.BytesIO()
    with pacsv.CSVWriter(sink, pa.schema([("id", pa.string())])) as rows:
        for ids in ids_in(checked.gone.path):
            rows.write(pa.table({"id": ids.cast(pa.string())}))
    write_whole(private_folder(place) / path.name, [sink.getvalue()])
    return replace(checked, stats=replace(checked.stats, gone_file=str(path)))
