"""A file of the ledger that is not as it was written is found and named; what can be made anew is, and no doubt is forgotten."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from flows.deals.index.index_file import INDEX, SCHEMA, DealsFile, deals_held
from flows.deals.index.known_deals import load_index
from flows.deals.index.merge_completed import merge_into_index
from flows.delivery.submit import begin_send
from flows.errors import FileTrouble, LedgerDamaged
from flows.ledger.export_baseline import BASELINE, load_baseline, save_baseline
from flows.ledger.forecast_history import FILE, Invoked, add_forecast, read_history
from flows.ledger.store import NAME, Entry, Ledger, Sending
from flows.runtime import atomic_files
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.conftest import Dealcast
    from tests.flows.conftest import Asked, Sync, WriteDeals

NOW = datetime.now(UTC)
Damage = Callable[[Path], None]


def flip(path: Path) -> None:
    """Another byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x01
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: list[Damage] = [flip, cut, empty]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger"))


def entry_of(fingerprint: str, state: Any = "completed") -> Entry:
    upload = Sending(state=state, intended_at=NOW, id=fingerprint, accepted_at=NOW, completed_at=NOW)
    facts: dict[str, Any] = {"export": {"deals": 3}, "csv_sha256": "", "rows": 3, "quarantined": 0, "totals": {}, "created_at": NOW}
    return Entry(fingerprint=fingerprint, collection="acme", mode="append", upload=upload, **facts)


def begun(ledger: Ledger, tmp_path: Path, fingerprint: str, state: Any = "completed") -> Entry:
    content = tmp_path / "content.parquet"
    with DealsFile(content) as file:
        file.write(pa.table([["1", "2", "3"], [1, 2, 3], [None] * 3], schema=SCHEMA))
    entry = entry_of(fingerprint, state)
    return ledger.write(begin_send(ledger, entry, content).model_copy(update={"upload": entry.upload}))


def file_of(ledger: Ledger, name: str) -> Path:
    return Path(ledger.where("acme", name))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_of_a_send_stops_with_its_name_and_the_remedy(ledger: Ledger, damage: Damage) -> None:
    ledger.write(entry_of("one"))
    damage(file_of(ledger, "one.json"))
    with pytest.raises(LedgerDamaged, match=r"acme/one\.json is damaged.*--full") as caught:
        ledger.entries("acme")
    assert caught.value.exit_code == 2


def test_any_byte_of_a_record_that_is_another_is_found(ledger: Ledger) -> None:
    """Or makes no difference, such as in the name of the key."""
    wrote = ledger.write(entry_of("one"))
    path = file_of(ledger, "one.json")
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x02]) + whole[place + 1 :])
        try:
            assert ledger.read("acme", "one") == wrote
        except LedgerDamaged:
            continue


def test_records_of_earlier_versions_have_no_checksum_and_are_read(ledger: Ledger) -> None:
    wrote = ledger.write(entry_of("one"))
    path = file_of(ledger, "one.json")
    fields = json.loads(path.read_bytes())
    assert len(fields.pop("checksum")) == 16
    path.write_text(json.dumps(fields))
    assert ledger.read("acme", "one") == wrote
    ledger.put("acme", BASELINE, b'{"deals": 3}')
    assert load_baseline(ledger, "acme") == {"deals": 3}
    ledger.put("acme", NAME, b"Acme")
    assert ledger.name_of("acme") == "Acme"


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_send_in_doubt_sent_is_not_forgotten_with_its_file(ledger: Ledger, tmp_path: Path, damage: Damage) -> None:
    begun(ledger, tmp_path, "one", "unknown")
    damage(file_of(ledger, "one.parquet"))
    with pytest.raises(LedgerDamaged, match=r"acme/one\.parquet is damaged"):
        load_index(ledger, "acme")


def test_a_send_in_doubt_whose_deals_nobody_knows_puts_all_in_doubt(ledger: Ledger, tmp_path: Path) -> None:
    merge_into_index(ledger, begun(ledger, tmp_path, "one"))
    begun(ledger, tmp_path, "two", "unknown")
    file_of(ledger, "two.parquet").unlink()
    rows = [row for held in load_rows(ledger) for row in held]
    assert rows == [None, None, None]


def load_rows(ledger: Ledger) -> list[list[Any]]:
    from flows.deals.index.known_deals import held  # noqa: PLC0415 - a name of its own above

    return [each.table["content"].to_pylist() for each in held(ledger, "acme", ledger.entries("acme"))]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_baseline_or_history_names_itself(ledger: Ledger, tmp_path: Path, damage: Damage) -> None:
    merge_into_index(ledger, begun(ledger, tmp_path, "one"))
    save_baseline(ledger, "acme", {"deals": 3})
    add_forecast(ledger, Invoked(NOW, NOW, "EUR", "http://127.0.0.1", "acme", "r", "i", "f"), [("2026-01-01", 1.0)])
    reads: dict[str, Callable[[], object]] = {
        f"{INDEX}.parquet": lambda: load_index(ledger, "acme"),
        BASELINE: lambda: load_baseline(ledger, "acme"),
        FILE: lambda: read_history(ledger, "acme", date(2026, 1, 1)),
    }
    for name, read in reads.items():
        read()
        damage(file_of(ledger, name))
        with pytest.raises(LedgerDamaged, match=f"acme/{name}"):
            read()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_name_is_none_until_it_is_asked_for_anew(ledger: Ledger, damage: Damage) -> None:
    ledger.put_line("acme", NAME, "Acme of Trento")
    damage(file_of(ledger, NAME))
    assert ledger.name_of("acme") is None


@pytest.mark.parametrize("name", sampled([f"{INDEX}.parquet", BASELINE]))
def test_a_damaged_index_or_baseline_is_made_anew_by_a_full_send(
    sync: Sync, write_deals: WriteDeals, asked: Asked, home: Path, collection: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    export = write_deals(3)
    sync(export, forecast="never")
    flip(home / "ledger" / collection / name)
    assert sync(export, forecast="never").result().entry.rows == 3
    assert sync(export, forecast="never").name == "NothingNew"
    assert asked("POST", "*/append") == 2
    assert sum("is damaged" in record.getMessage() for record in caplog.records) <= 1
    ledger = Ledger(str(home / "ledger"))
    assert (deals_held(ledger, collection), load_baseline(ledger, collection) is not None) == (3, True)
    assert (home / "ledger" / collection / f"_damaged{name}").exists()


def test_the_bytes_of_an_acceptance_are_there_on_a_disk_that_is_full_by_then(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is taken up before the POST is let go where the write that follows finds no room."""
    entry = begun(ledger, tmp_path, "one", "intended")
    assert file_of(ledger, "_reserve.bin").stat().st_size >= 2 * file_of(ledger, "one.json").stat().st_size
    write = atomic_files.write_whole

    def full(path: Path, pieces: Any, **how: Any) -> None:
        if file_of(ledger, "_reserve.bin").exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, pieces, **how)

    monkeypatch.setattr("flows.ledger.store.write_whole", full)
    accepted = entry.upload.model_copy(update={"state": "accepted", "id": "request-4711"})
    ledger.write(entry.model_copy(update={"upload": accepted}))
    found = ledger.read("acme", "one")
    assert found is not None
    assert found.upload.id == "request-4711"
    assert not file_of(ledger, "_reserve.bin").exists()


class _Away(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """A bucket whose library raises errors of its own, which are no OSError."""

    protocol = "away"

    def _fail(self, *_: Any, **__: Any) -> Any:
        class EndpointConnectionError(Exception):
            pass

        raise EndpointConnectionError("Could not connect")

    ls = cat_file = pipe_file = open = exists = rm_file = mv = _fail


def test_a_bucket_that_is_away_is_told_in_one_sentence(dealcast: Dealcast, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("away", _Away, clobber=True)
    monkeypatch.setenv("DEALCAST_LEDGER", "away://key:secret@bucket/dealcast")
    told = dealcast("status", code=1).output
    assert "away://bucket/dealcast cannot be read or written (EndpointConnectionError)" in told
    assert "secret" not in told
    ledger = Ledger("away://bucket/dealcast")
    asks: list[Callable[[], object]] = [
        lambda: ledger.get("acme", NAME),
        lambda: ledger.put("acme", NAME, b""),
        lambda: ledger.entries("acme"),
        lambda: ledger.delete("acme", NAME),
    ]
    for ask in asks:
        with pytest.raises(FileTrouble):
            ask()
