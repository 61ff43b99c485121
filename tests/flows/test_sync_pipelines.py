"""One export, two pipelines, two collections: each gets its own sync, and one that fails does not stop the other."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.errors import StoppedByGate, UsageError
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.sync_pipelines import read_table, sync_pipelines

if TYPE_CHECKING:
    from tests.flows.conftest import Fault

HEADER = [
    "Record ID",
    "Deal Name",
    "Amount",
    "Create Date",
    "Close Date",
    "Deal Stage",
    "Is Closed Won",
    "Is closed lost",
    "Pipeline",
    "Last Modified Date",
]


PIPELINES = ["New business", "New business", "New business", "Renewals", "Renewals", "Partners"]


def export(path: Path, *, bad_renewal: bool = False, pipelines: Sequence[str] = PIPELINES) -> Path:
    rows = [
        [
            f"{number}",
            f"Deal {number}",
            "100.0",
            "2025-01-10 09:00",
            "2025-02-10 09:00",
            "Closed won",
            "true",
            "false",
            pipeline,
            "2025-02-11 10:00",
        ]
        for number, pipeline in enumerate(pipelines, start=1)
    ]
    if bad_renewal:
        rows[3][2] = "lots"
    with path.open("w", newline="", encoding="utf-8") as sink:
        csv.writer(sink, quoting=csv.QUOTE_ALL).writerows([HEADER, *rows])
    return path


@pytest.fixture
def table(tmp_path: Path, platform: Nostradamus, home: Path) -> dict[str, str]:  # noqa: ARG001 - the home sets the environment
    held = {name: platform.create_collection(name, "Europe/Rome").id for name in ("New business", "Renewals")}
    (tmp_path / "pipelines.csv").write_text("pipeline,collection\n" + "".join(f"{name},{ident}\n" for name, ident in held.items()))
    return held


def run(tmp_path: Path, deals: Path, **more: Any) -> Any:
    options = SyncOptions(export=str(deals), crm="hubspot", collection="all", horizon=3, first_month="2025-03", **more)
    return sync_pipelines(options, str(tmp_path / "pipelines.csv"), return_state=True)


def rows_of(platform: Nostradamus, collection: str, tmp_path: Path) -> int:
    platform.dump(collection, tmp_path / "dump.csv")
    return len(list(csv.DictReader((tmp_path / "dump.csv").open(newline=""))))


def test_each_pipeline_lands_in_its_collection_with_a_forecast(
    tmp_path: Path, table: dict[str, str], platform: Nostradamus, home: Path
) -> None:
    state = run(tmp_path, export(tmp_path / "deals.csv"))
    assert state.is_completed(), state.message
    assert [rows_of(platform, collection, tmp_path) for collection in table.values()] == [3, 2]
    assert all((home / "forecasts" / collection / "forecast.json").exists() for collection in table.values())
    run_id = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id])))
        name = client.read_flow_run(run_id).name
    keys = [str(artifact.key) for artifact in found]
    assert [(artifact.key, artifact.data) for artifact in found if artifact.type == "progress"] == [("progress-pipelines", 100.0)]
    assert sum(key.startswith("report-") for key in keys) == len(table)
    assert name.endswith(f"· {len(table)} pipelines synced")


@pytest.mark.slow
def test_each_pipeline_is_read_as_its_collection_s_last_export_was(
    tmp_path: Path, table: dict[str, str], platform: Nostradamus, told: list[str]
) -> None:
    """A collection that is new beside them is read as the options say, which say nothing."""
    deals = export(tmp_path / "deals.csv")
    assert run(tmp_path, deals, crm_timezone="America/New_York", forecast="never").is_completed()
    with (tmp_path / "pipelines.csv").open("a") as sink:
        sink.write(f"Partners,{platform.create_collection('Partners', 'Europe/Rome').id}\n")
    told.clear()
    state = run(tmp_path, deals, forecast="never")
    assert state.is_completed(), state.message
    assert sum("accepted as request" in line for line in told) == 1
    assert sum("nothing new to send" in line for line in told) == len(table)
    stopped = str(run(tmp_path, deals, crm_timezone="UTC", forecast="never").result(raise_on_failure=False))
    assert stopped.count("crm_timezone was America/New_York, is UTC") == len(table)


def test_deals_that_are_not_synced_are_told_and_no_others(
    tmp_path: Path, table: dict[str, str], platform: Nostradamus, told: list[str]
) -> None:
    """Also where two timezones take two readings, each of which sees the other's pipelines."""
    abroad = platform.create_collection("Abroad", "America/New_York").id
    with (tmp_path / "pipelines.csv").open("a") as sink:
        sink.write(f"Abroad,{abroad}\n")
    deals = export(tmp_path / "deals.csv", pipelines=["New business", "Renewals", "Abroad", "Partners", "", " "])
    assert run(tmp_path, deals, forecast="never").is_completed()
    left = [line for line in told if "not synced" in line]
    assert {line.partition("extract: ")[2] or line for line in left} == {
        "pipeline Partners: 1 deal not synced, since the table does not name it",
        "2 deals not synced, since they name no pipeline",
    }, table


def test_one_failing_pipeline_does_not_stop_the_others(tmp_path: Path, table: dict[str, str], platform: Nostradamus, home: Path) -> None:
    state = run(tmp_path, export(tmp_path / "deals.csv", bad_renewal=True))
    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert isinstance(error, StoppedByGate)
    assert "1 of 2 pipelines failed" in str(error)
    assert "Renewals" in str(error)
    assert rows_of(platform, table["New business"], tmp_path) == 3
    assert rows_of(platform, table["Renewals"], tmp_path) == 0
    assert (home / "forecasts" / table["New business"] / "forecast.json").exists()


@pytest.mark.slow
def test_a_pipeline_that_the_export_lacks_and_a_collection_that_is_unknown_are_named(
    tmp_path: Path, table: dict[str, str], platform: Nostradamus
) -> None:
    with (tmp_path / "pipelines.csv").open("a") as sink:
        sink.write(f"Upsell,{platform.create_collection('Upsell', 'Europe/Rome').id}\nPartners,nowhere\n")
    error = run(tmp_path, export(tmp_path / "deals.csv"), forecast="never").result(raise_on_failure=False)
    assert re.search(r"Upsell: .*no deals in pipeline", str(error), re.DOTALL)
    assert re.search(r"Partners: .*knows no collection 'nowhere'", str(error), re.DOTALL)
    assert rows_of(platform, table["Renewals"], tmp_path) == 2


def test_a_collection_that_is_no_id_is_named_before_anything_is_read(tmp_path: Path, table: dict[str, str]) -> None:  # noqa: ARG001 - the environment
    (tmp_path / "pipelines.csv").write_text("pipeline,collection\nNew business,../x\n")
    error = run(tmp_path, tmp_path / "there is none.csv").result(raise_on_failure=False)
    assert isinstance(error, UsageError)
    assert "New business" in str(error)
    assert "'../x'" in str(error)


@pytest.mark.slow
def test_a_platform_in_trouble_is_waited_for_as_a_single_sync_does(tmp_path: Path, table: dict[str, str], fault: Fault) -> None:  # noqa: ARG001 - the environment
    fault("status", "/api/collection", status=503, count=10)
    assert run(tmp_path, export(tmp_path / "deals.csv")).is_completed()


def test_the_table_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for text, part in {
        "pipeline;collection\na;b\n": "line 1 has no column 'pipeline'. It is a CSV with the columns pipeline,collection",
        "pipeline,collection\n": "names no pipeline",
        "pipeline,collection\na,x\na,y\n": "line 3, column pipeline, value 'a' is on line 2 too",
        "pipeline,collection\na,x\nb,x\n": "line 3, column collection, value 'x' is on line 2 too",
        "pipeline,collection\na,\n": "line 2, column collection is empty",
        "pipeline,pipeline,collection\na,b,x\n": "names twice the column 'pipeline'",
        "pipeline,collection\na\n": "line 2 has 1 cells, the header 2",
    }.items():
        path.write_text(text)
        with pytest.raises(UsageError, match=part):
            read_table(str(path))
