"""The content index: one Parquet file per collection, ids as text; an index of an earlier version is taken over."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.deals.gone_deals import gone_ids
from flows.deals.index.content_hash import DEAL, SAMPLE, Hashes, hash_ids
from flows.deals.index.damaged_files import set_damaged_aside
from flows.deals.index.index_file import DealsFile, rows_of
from flows.deals.index.known_deals import held, load_index
from flows.deals.index.late_uploads import reconcile_late
from flows.deals.index.merge_completed import merge_into_index
from flows.delivery.submit import keep_content
from flows.errors import LedgerDamaged
from flows.ledger.store import Entry, Ledger, Sending

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.conftest import Asked, Failing, Sync, WriteDeals

COLLECTION = "acme"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger"))


def deals(ids: list[str], value: str = "1.0") -> pa.Table:
    return pa.table(
        {name: pa.array(ids if name == "id" else [value if name == "value" else None] * len(ids), pa.string()) for name in COLUMN_NAMES}
    )


def index_rows(batch: pa.Table, contents: Hashes, in_all: int) -> pa.Table:
    """All deals of a batch as rows of the index."""
    found = np.empty(batch.num_rows, DEAL)
    found["id"], found["content"] = hash_ids(batch["id"].combine_chunks()), contents
    return rows_of(found, batch, np.ones(batch.num_rows, np.bool_), in_all)


def sent(
    ledger: Ledger, place: Path, ids: list[str], value: int = 1, state: Any = "completed", mode: Any = "append", after: int = 0
) -> Entry:
    """An entry of a sync that sent deals whose content hashes are all ``value``."""
    path = place / f"{uuid.uuid4().hex}.parquet"
    with DealsFile(path) as file:
        file.write(index_rows(deals(ids, f"{value}.0"), np.full(len(ids), value, np.uint64), len(ids)))
    when = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=after)
    entry = Entry(
        fingerprint=path.stem,
        collection=COLLECTION,
        mode=mode,
        created_at=when,
        export={},
        csv_sha256="",
        rows=len(ids),
        quarantined=0,
        totals={},
        upload=Sending(state=state, intended_at=when, doubt=state != "completed"),
    )
    keep_content(ledger, COLLECTION, path.stem, path)
    return ledger.write(entry)


def contents(ledger: Ledger) -> dict[str, int | None]:
    """Id -> content hash, None while in doubt."""
    tables = [rows.table for rows in held(ledger, COLLECTION, ledger.entries(COLLECTION))]
    return {row["id"]: row["content"] for table in tables for row in table.select(["id", "content"]).to_pylist()}


def test_an_id_of_several_rows_is_held_once_and_in_doubt(ledger: Ledger, tmp_path: Path) -> None:
    """Which of them the platform keeps is not known: both are sent again, and neither is ever taken for gone."""
    merge_into_index(ledger, sent(ledger, tmp_path, ["x"], value=7))
    entry = sent(ledger, tmp_path, ["a", "b", "a", "c", "b", "a"], after=1)
    assert contents(ledger) == {"x": 7, "a": None, "b": None, "c": None}
    assert len(load_index(ledger, COLLECTION)) == 4
    assert merge_into_index(ledger, entry).held == 4
    assert contents(ledger) == {"x": 7, "a": None, "b": None, "c": 1}
    index = load_index(ledger, COLLECTION)
    texts = pa.array(["a", "a", "b", "c"], pa.string())
    index.see(index.find(hash_ids(texts)), texts)
    assert (len(index), index.gone()) == (4, 1)
    assert [ids.to_pylist() for ids in gone_ids(ledger, COLLECTION, index)] == [["x"]]
    merge_into_index(ledger, sent(ledger, tmp_path, ["a"], value=9, after=2))
    assert contents(ledger) == {"x": 7, "a": 9, "b": None, "c": 1}


def test_the_index_is_one_parquet_file_that_any_tool_reads(sync: Sync, write_deals: WriteDeals, home: Path, collection: str) -> None:
    sync(write_deals(4), forecast="never")
    sync(write_deals(6), forecast="never")
    folder = home / "ledger" / collection
    table = pq.read_table(folder / "_index.parquet")
    assert sorted(table["id"].to_pylist()) == ["1", "2", "3", "4", "5", "6"]
    assert table.schema.field("content").type == pa.uint64()
    assert table["content"].null_count == 0
    assert [path.name for path in folder.glob("*.parquet")] == ["_index.parquet"], "what was sent is in it, and nowhere else"


def test_a_completed_append_adds_and_replaces(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b"], 1))
    merge_into_index(ledger, sent(ledger, tmp_path, ["b", "c"], 2, after=1))
    assert contents(ledger) == {"a": 1, "b": 2, "c": 2}


def test_an_index_that_a_paused_run_put_in_place_of_a_newer_one_is_made_anew(ledger: Ledger, tmp_path: Path) -> None:
    """Its last look at the lock was before the pause: what the export went back to meanwhile would be taken for held."""
    for number, value in enumerate((1, 2), start=1):
        entry = ledger.write(sent(ledger, tmp_path, ["a"], value, after=number).model_copy(update={"number": number}))
        before = ledger.get(COLLECTION, "_index.parquet")
        merge_into_index(ledger, entry)
    assert before is not None
    assert contents(ledger) == {"a": 2}
    ledger.put(COLLECTION, "_index.parquet", before)
    with pytest.raises(LedgerDamaged) as caught:
        contents(ledger)
    assert "Every deal is sent again" in set_damaged_aside(ledger, COLLECTION, caught.value)
    assert contents(ledger) == {}


def test_an_index_without_a_number_is_as_new_as_any(ledger: Ledger, tmp_path: Path) -> None:
    """One of an earlier version has none, until a sync is merged into it."""
    merge_into_index(ledger, sent(ledger, tmp_path, ["a"]).model_copy(update={"number": 7}))
    with DealsFile(tmp_path / "old.parquet") as file:
        file.write(pq.read_table(ledger.where(COLLECTION, "_index.parquet")))
    ledger.put(COLLECTION, "_index.parquet", (tmp_path / "old.parquet").read_bytes())
    assert contents(ledger) == {"a": 1}
    merge_into_index(ledger, sent(ledger, tmp_path, ["b"], after=1).model_copy(update={"number": 8}))
    assert contents(ledger) == {"a": 1, "b": 1}


def test_a_completed_delete_removes_what_it_named(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b", "c"]))
    merge_into_index(ledger, sent(ledger, tmp_path, ["b"], mode="delete", after=1))
    assert contents(ledger) == {"a": 1, "c": 1}


def test_a_completed_override_is_all_that_is_held(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b"]))
    sent(ledger, tmp_path, ["d"], state="unknown", after=1)
    merge_into_index(ledger, sent(ledger, tmp_path, ["c"], 2, mode="override", after=2))
    assert contents(ledger) == {"c": 2}


def test_an_append_in_doubt_may_have_added_and_changed(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b"]))
    sent(ledger, tmp_path, ["b", "c"], 2, state="unknown", after=1)
    assert contents(ledger) == {"a": 1, "b": None, "c": None}
    merge_into_index(ledger, sent(ledger, tmp_path, ["a"], 3, after=2))
    assert contents(ledger) == {"a": 3, "b": None, "c": None}, "what was in doubt is so until it is sent again"


def test_an_override_in_doubt_puts_all_in_doubt(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b"]))
    sent(ledger, tmp_path, ["b"], 1, state="unknown", mode="override", after=1)
    assert contents(ledger) == {"a": None, "b": None}


@pytest.fixture
def late(ledger: Ledger, tmp_path: Path) -> Callable[..., None]:
    """A send of b and c without an answer, which the next one makes good, and then another of b."""

    def happen(mode: str, made_good: list[str], value: int = 2) -> None:
        merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b", "c"], 1))
        sent(ledger, tmp_path, ["b", "c"], 2, state="unknown", mode=mode, after=1)
        merge_into_index(ledger, sent(ledger, tmp_path, made_good, value, after=2))

    return happen


def overdue(ledger: Ledger) -> None:
    """As if more than a deadline of an hour had passed since the last sync."""
    for entry in ledger.entries(COLLECTION):
        if entry.late_since is not None:
            ledger.write(entry.model_copy(update={"late_since": entry.late_since - timedelta(hours=1)}))


def test_what_a_late_append_undoes_is_in_doubt_once_the_deadline_has_passed(
    ledger: Ledger, tmp_path: Path, late: Callable[..., None]
) -> None:
    """c is as it was sent then, whichever send is the last."""
    late("append", ["b", "c"])
    merge_into_index(ledger, sent(ledger, tmp_path, ["b"], 3, after=3))
    assert ["sends again" in told for told in reconcile_late(ledger, COLLECTION, 3600)] == [True]
    assert contents(ledger) == {"a": 1, "b": 3, "c": 2}
    overdue(ledger)
    assert ["1 deal would" in told for told in reconcile_late(ledger, COLLECTION, 3600)] == [True]
    assert contents(ledger) == {"a": 1, "b": None, "c": 2}
    merge_into_index(ledger, sent(ledger, tmp_path, ["b"], 3, after=4))
    overdue(ledger)
    assert list(reconcile_late(ledger, COLLECTION, 3600)) == [], "once"
    assert contents(ledger) == {"a": 1, "b": 3, "c": 2}
    assert [path.name for path in (tmp_path / "ledger").rglob("*.parquet")] == ["_index.parquet"]


def test_a_send_made_good_by_the_very_same_undoes_nothing(ledger: Ledger, late: Callable[..., None]) -> None:
    late("append", ["b", "c"])
    overdue(ledger)
    assert list(reconcile_late(ledger, COLLECTION, 3600)) == []
    assert contents(ledger) == {"a": 1, "b": 2, "c": 2}


def test_a_send_that_is_repeated_may_come_late_itself(ledger: Ledger, tmp_path: Path) -> None:
    """Its first turn had no answer, the second completed: then comes newer data, and then the first turn."""
    again = sent(ledger, tmp_path, ["a", "b"], 1)
    merge_into_index(ledger, again.model_copy(update={"upload": again.upload.model_copy(update={"doubt": True})}))
    merge_into_index(ledger, sent(ledger, tmp_path, ["a"], 2, after=1))
    overdue(ledger)
    assert len(list(reconcile_late(ledger, COLLECTION, 3600))) == 1
    assert contents(ledger) == {"a": None, "b": 1}


def test_a_late_delete_takes_what_has_come_back(ledger: Ledger, tmp_path: Path, late: Callable[..., None]) -> None:
    late("delete", ["b"], 1)
    merge_into_index(ledger, sent(ledger, tmp_path, ["c"], mode="delete", after=3))
    overdue(ledger)
    assert len(list(reconcile_late(ledger, COLLECTION, 3600))) == 1
    assert contents(ledger) == {"a": 1, "b": None}


def test_a_late_override_drops_what_it_did_not_have_and_brings_back_what_is_gone(
    ledger: Ledger, tmp_path: Path, late: Callable[..., None]
) -> None:
    late("override", ["a", "b"])
    merge_into_index(ledger, sent(ledger, tmp_path, ["c"], mode="delete", after=3))
    overdue(ledger)
    assert len(list(reconcile_late(ledger, COLLECTION, 3600))) == 1
    assert contents(ledger) == {"a": None, "b": 2, "c": None}


def test_a_clock_that_was_ahead_does_not_put_a_late_send_off(ledger: Ledger, tmp_path: Path, late: Callable[..., None]) -> None:
    late("append", ["b", "c"])
    merge_into_index(ledger, sent(ledger, tmp_path, ["b"], 3, after=3))
    (entry,) = (entry for entry in ledger.entries(COLLECTION) if entry.late_since)
    ledger.write(entry.model_copy(update={"late_since": datetime.now(UTC) + timedelta(days=10)}))
    assert len(list(reconcile_late(ledger, COLLECTION, 3600))) == 1
    overdue(ledger)
    list(reconcile_late(ledger, COLLECTION, 3600))
    assert contents(ledger) == {"a": 1, "b": None, "c": 2}


def test_what_a_late_send_had_is_kept_however_many_syncs_follow(ledger: Ledger, late: Callable[..., None], monkeypatch: Any) -> None:
    monkeypatch.setattr("flows.ledger.store.KEPT", 1)
    late("append", ["b", "c"])
    before = ledger.entries(COLLECTION)
    ledger.prune(COLLECTION)
    left = ledger.entries(COLLECTION)
    assert len(left) < len(before), "something is pruned"
    assert len([entry for entry in left if entry.late_since]) == 1


def test_gone_deals_are_named(ledger: Ledger, tmp_path: Path) -> None:
    """Those in doubt are among them: an upload without an answer may have brought them."""
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b", "c"]))
    sent(ledger, tmp_path, ["d"], state="unknown", after=1)
    index = load_index(ledger, COLLECTION)
    export = pa.array(["a", "x"], pa.string())
    index.see(index.find(hash_ids(export)), export)
    assert index.gone() == 3
    assert [name for ids in gone_ids(ledger, COLLECTION, index) for name in ids.to_pylist()] == ["b", "c", "d"]


def test_the_columns_that_changed_are_counted(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, ["a", "b", "c"]))
    ids = pa.array(["a", "c", "new"], pa.string())
    compared, columns = load_index(ledger, COLLECTION).columns_changed(hash_ids(ids), deals(["a", "c", "new"], "7"), np.ones(3, np.bool_))
    assert (compared, dict(columns)) == (2, {"value": 2})


def test_cells_are_kept_of_a_sample_of_many_deals(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, sent(ledger, tmp_path, [str(number) for number in range(5 * SAMPLE)]))
    (path,) = (tmp_path / "ledger").rglob("_index.parquet")
    known = pq.read_table(path)["cells"]
    assert SAMPLE <= len(known) - known.null_count <= 2 * SAMPLE
    index = load_index(ledger, COLLECTION)
    assert len(index) == 5 * SAMPLE


def test_a_million_ids_take_little_room_on_disk(tmp_path: Path) -> None:
    """A tenth of them here: ids as long and as random as any CRM's, 4 MB for 100,000."""
    count = 100_000
    rng = np.random.default_rng(0)
    texts = pa.array([str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(count)], pa.string())
    with DealsFile(tmp_path / "index.parquet") as file:
        contents = rng.integers(1, 2**63, count).astype(np.uint64)
        rows = deals(texts.to_pylist())
        file.write(index_rows(rows, contents, 10 * count))
    assert (tmp_path / "index.parquet").stat().st_size <= 4_000_000


def _as_earlier_version(folder: Path) -> None:
    """Put an index as it was before ids were kept as text in place of today's."""
    table = pq.read_table(folder / "_index.parquet")
    old = np.empty(len(table), DEAL)
    old["id"], old["content"] = hash_ids(table["id"].combine_chunks()), table["content"].to_numpy()
    (folder / "_known.xxh3").write_bytes(old.tobytes())
    (folder / "_index.parquet").unlink()


@pytest.mark.slow
def test_an_index_of_an_earlier_version_is_taken_over(
    sync: Sync, write_deals: WriteDeals, asked: Asked, home: Path, collection: str
) -> None:
    """Nothing is sent again, and the ids are named from then on."""
    sync(write_deals(5), forecast="never")
    folder = home / "ledger" / collection
    _as_earlier_version(folder)
    assert sync(write_deals(5), forecast="never").name == "NothingNew"
    assert asked("POST", "*/append") == 1
    assert sorted(pq.read_table(folder / "_index.parquet")["id"].to_pylist()) == ["1", "2", "3", "4", "5"]
    assert not (folder / "_known.xxh3").exists()


@pytest.mark.slow
def test_deals_that_only_an_earlier_version_knows_are_counted_until_they_come_back(
    sync: Sync, failing: Failing, write_deals: WriteDeals, home: Path, collection: str
) -> None:
    sync(write_deals(10), forecast="never")
    folder = home / "ledger" / collection
    _as_earlier_version(folder)
    assert sync(write_deals(8), forecast="never").result().checked.stats.gone == 2
    assert (folder / "_known.xxh3").stat().st_size == 2 * DEAL.itemsize
    sync(write_deals(8, {"value": "5"}), forecast="never")
    assert "7 of 11 deals sent before are not in it" in str(failing(write_deals(2, first=9)))
    assert sync(write_deals(10), forecast="never", accept_shrink=True).name == "NothingNew"
    assert not (folder / "_known.xxh3").exists()


def test_an_upload_of_an_earlier_version_that_did_not_end_is_counted(ledger: Ledger, tmp_path: Path) -> None:
    entry = sent(ledger, tmp_path, ["a", "b"])
    folder = tmp_path / "ledger" / COLLECTION
    table = pq.read_table(folder / f"{entry.fingerprint}.parquet")
    old = np.empty(2, DEAL)
    old["id"], old["content"] = hash_ids(table["id"].combine_chunks()), table["content"].to_numpy()
    (folder / f"{entry.fingerprint}.xxh3").write_bytes(old.tobytes())
    (folder / f"{entry.fingerprint}.parquet").unlink()
    merge_into_index(ledger, entry)
    index = load_index(ledger, COLLECTION)
    known, other = index.compare(index.find(old["id"]), old["content"])
    assert len(index) == 2
    assert known.all()
    assert not other.any()


def _entry_of_an_earlier_version(ledger: Ledger, entry: Entry) -> Entry | None:
    """``entry`` as read from a file that has no checksum and does not say whether its deals are in the index."""
    ledger.put(entry.collection, f"{entry.fingerprint}.json", entry.model_dump_json(exclude={"indexed", "number"}).encode())
    return ledger.read(entry.collection, entry.fingerprint)


def test_a_sync_of_an_earlier_version_is_in_the_index_once_what_it_sent_is_kept_no_more(ledger: Ledger, tmp_path: Path) -> None:
    entry = sent(ledger, tmp_path, ["a", "b"])
    before = _entry_of_an_earlier_version(ledger, entry)
    assert before is not None
    assert before.in_doubt, "killed between the platform's completed and the index"
    after = _entry_of_an_earlier_version(ledger, merge_into_index(ledger, before))
    assert after is not None
    assert after.finished
    running = _entry_of_an_earlier_version(ledger, sent(ledger, tmp_path, ["c"], state="accepted", after=1))
    assert running is not None
    assert not running.indexed
    assert contents(ledger) == {"a": 1, "b": 1, "c": None}


def _with_cells(table: pa.Table, kind: pa.DataType) -> pa.Table:
    return table.set_column(2, "cells", table["cells"].cast(kind))


@pytest.mark.parametrize(
    ("earlier", "compared"),
    [
        (lambda table: _with_cells(table, pa.binary(len(table["cells"][0].as_py()))), 1),
        (lambda table: table.set_column(2, "cells", pa.array([b"12345678"])), 0),
        (lambda table: table.replace_schema_metadata({"cells": "32 bits of the xxh3 of: id,name"}), 0),
        (lambda table: table.replace_schema_metadata(None), 0),
    ],
    ids=["of one width", "of another width", "of other columns", "of nobody knows what"],
)
def test_cells_of_an_earlier_version_are_read_where_they_are_of_the_same_columns(
    ledger: Ledger, tmp_path: Path, earlier: Callable[[pa.Table], pa.Table], compared: int
) -> None:
    """Else the deals are known all the same, and no cell is."""
    merge_into_index(ledger, sent(ledger, tmp_path, ["a"]))
    (path,) = (tmp_path / "ledger").rglob("_index.parquet")
    pq.write_table(earlier(pq.read_table(path)), path)
    ids, index = pa.array(["a"], pa.string()), load_index(ledger, COLLECTION)
    assert len(index) == 1
    assert index.columns_changed(hash_ids(ids), deals(["a"], "7"), np.ones(1, np.bool_)) == (compared, {"value": 1} if compared else {})
