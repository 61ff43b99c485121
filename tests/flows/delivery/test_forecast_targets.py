"""The history of forecasts where people look at it: complete and without duplicates, whatever failed in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pandas as pd
import pytest
import sqlalchemy as sa

from flows.delivery.forecast_targets import deliver_history, shown_target
from flows.ledger.forecast_history import Invoked, add_forecast, read_history
from flows.ledger.store import Ledger
from tests.benchmarks.postgres import postgres, programs, stopped

if TYPE_CHECKING:
    from tests.flows.conftest import Sync, WriteDeals

FIRST = datetime(2026, 1, 5, 6, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger"))


def forecast(ledger: Ledger, number: int, *, collection: str = "acme", day: int | None = None, months: int = 3) -> None:
    as_of = FIRST + timedelta(days=number if day is None else day)
    made = Invoked(as_of, as_of + timedelta(seconds=number), None, "http://127.0.0.1", collection, f"r{number}", f"i{number}", f"f{number}")
    add_forecast(ledger, made, [(f"2026-{month:02d}-01", 100.5 * number + month) for month in range(1, months + 1)])


def expected(ledger: Ledger, *collections: str) -> pd.DataFrame:
    found = pd.concat([read_history(ledger, each).to_pandas() for each in collections])
    return rows_of(found)


def rows_of(found: pd.DataFrame) -> pd.DataFrame:
    ordered: pd.DataFrame = found.sort_values(["collection", "as_of", "month"])
    return ordered[["collection", "as_of", "month", "revenue", "invocation_id"]]


def in_table(url: str, table: str = "forecasts") -> pd.DataFrame:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        found = pd.read_sql_table(table, connection)
    found["as_of"] = pd.to_datetime(found["as_of"], utc=True)
    found["month"] = [date.fromisoformat(str(month)[:10]) for month in found["month"]]
    return rows_of(found)


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("scheme", ["file://", "memory:/"])
def test_a_file_has_the_forecasts_of_all_collections_that_go_there(ledger: Ledger, tmp_path: Path, ending: str, scheme: str) -> None:
    target = f"{scheme}{tmp_path}/bi/forecasts.{ending}"
    for number, collection in enumerate(["acme", "globex", "acme"]):
        forecast(ledger, number, collection=collection)
        assert deliver_history(ledger, collection, [target]) == ()
    with fsspec.open(target, "rb") as source:
        found = pd.read_parquet(source) if ending == "parquet" else pd.read_csv(source, parse_dates=["as_of"])
    found["month"] = [date.fromisoformat(str(month)[:10]) for month in found["month"]]
    same(rows_of(found), expected(ledger, "acme", "globex"))


def test_a_folder_has_each_collection_in_both_forms(ledger: Ledger, tmp_path: Path) -> None:
    for number, collection in enumerate(["acme", "globex"]):
        forecast(ledger, number, collection=collection)
        assert deliver_history(ledger, collection, [str(tmp_path / "bi")]) == ()
    assert sorted(path.name for path in (tmp_path / "bi").iterdir()) == ["acme.csv", "acme.parquet", "globex.csv", "globex.parquet"]
    assert pd.read_csv(tmp_path / "bi" / "acme.csv")["revenue"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("name", "content"), [("mine.csv", b"id,name\n1,x\n"), ("mine.parquet", b"PAR1 no"), ("mine.csv", b"")])
def test_a_file_of_something_else_is_left_as_it_is(ledger: Ledger, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    forecast(ledger, 0)
    (why,) = deliver_history(ledger, "acme", [str(tmp_path / name)])
    assert why.endswith("the file there is no table of forecasts, and was left as it is")
    assert (tmp_path / name).read_bytes() == content


def test_what_is_there_already_is_not_delivered_again(ledger: Ledger, tmp_path: Path) -> None:
    forecast(ledger, 0)
    deliver_history(ledger, "acme", [str(tmp_path / "a.csv")])
    (tmp_path / "a.csv").unlink()
    deliver_history(ledger, "acme", [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    assert not (tmp_path / "a.csv").exists(), "nothing is new for it"
    assert (tmp_path / "b.csv").exists(), "a new target gets all there is"


def test_a_table_is_complete_after_a_failure_and_a_repetition(ledger: Ledger, tmp_path: Path) -> None:
    """A folder that is missing stands for a database that is down. A second forecast of the same data takes the first one's place."""
    url = f"sqlite:///{tmp_path}/bi/dashboard.db"
    target = f"{url}#forecasts"
    for number in range(3):
        forecast(ledger, number)
        failed = deliver_history(ledger, "acme", [target])
        if number == 0:
            assert failed == (f"{target}: unable to open database file (OperationalError)",)
            (tmp_path / "bi").mkdir()
    forecast(ledger, 7, collection="globex")
    assert deliver_history(ledger, "globex", [target]) == ()
    same(in_table(url), expected(ledger, "acme", "globex"))
    forecast(ledger, 9, day=2, months=2)
    assert deliver_history(ledger, "acme", [target]) == ()
    wanted = expected(ledger, "acme", "globex")
    same(in_table(url), wanted[wanted["invocation_id"] != "i2"])


def test_a_password_is_in_no_message(ledger: Ledger) -> None:
    forecast(ledger, 0)
    target = "postgresql://bi:s3cret@127.0.0.1:1/bi?application_name=x#sales.forecasts"
    (why,) = deliver_history(ledger, "acme", [target])
    assert why.startswith("postgresql://127.0.0.1:1/bi#sales.forecasts: connection failed")
    assert "s3cret" not in why
    assert shown_target("s3://bucket/forecasts") == "s3://bucket/forecasts"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres() as url:
        yield url.replace("+asyncpg", "")


def test_three_syncs_are_complete_in_postgresql_although_it_was_down(
    sync: Sync, write_deals: WriteDeals, collection: str, database: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sync finds the server stopped: it says so and is well. The third makes up for it."""
    monkeypatch.setenv("DEALCAST_FORECASTS", f"{database}#forecasts")
    with sa.create_engine(database.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool).connect() as connection:
        data = Path(connection.scalar(sa.text("SHOW data_directory")) or "")
    for number in range(3):
        with stopped(data) if number == 1 else nullcontext():
            state = sync(write_deals(4, value=f"{number + 1}000.00"))
        assert state.is_completed()
        assert ("not delivered" in str(state.message)) is (number == 1), state.message
        report = (home / "forecasts" / collection / "report.md").read_text()
        assert ("## Not delivered" in report) is (number == 1), report
    history = read_history(Ledger(str(home / "ledger")), collection)
    assert history.num_rows == 9
    same(in_table(database), expected(Ledger(str(home / "ledger")), collection))
