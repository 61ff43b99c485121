"""What Prefect keeps of a run: its name, its artifacts, its log, and nothing of a row's content."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.errors import AppendRejected, ExportNotFound, StoppedByGuard
from flows.ui.artifacts import artifact_key
from flows.ui.failure_report import title

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from tests.flows.conftest import Fault, Sync, TaskStates, WriteDeals

SECRET = {"name": "Wilhelmina Quarkenbush", "description": "calls from +49 170 5550123", "value": "not-a-Quarkenbush-number"}


def kept(state: State[Any]) -> tuple[str, dict[str, str]]:
    """The run's name, and its artifacts' data by the first word of their key."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id])))
        return client.read_flow_run(run_id).name, {str(each.key).split("-")[0]: str(each.data) for each in found}


def test_a_run_of_an_old_export_is_named_by_its_age_too(sync: Sync, write_deals: WriteDeals) -> None:
    export = write_deals(3)
    long_ago = time.time() - 40 * 3600
    os.utime(export, (long_ago, long_ago))
    assert " · 3 sent, export 40 h old" in kept(sync(export, forecast="never"))[0]


def test_a_run_stopped_by_the_gate_lists_the_rows_and_no_one_s_data(
    sync: Sync, write_deals: WriteDeals, caplog: pytest.LogCaptureFixture
) -> None:
    """Line, column and rule; of the id and the value only their shape. The log has counts."""
    caplog.set_level(logging.INFO)
    state = sync(write_deals(2, SECRET))
    name, artifacts = kept(state)
    assert name.endswith(" · stopped by gate")
    assert "extra-0" not in artifacts["rejected"]
    assert "aaaaa-9" in artifacts["rejected"]
    assert "Forecast not invoked" in artifacts["report"]
    for text in (*artifacts.values(), state.message or "", caplog.text):
        assert "Quarkenbush" not in text
        assert "5550123" not in text
    assert "Traceback" not in caplog.text, "it is stopped on purpose"
    assert "failed with exception" not in caplog.text
    assert "may be quarantined" in caplog.text


def test_the_report_of_a_forecast_that_failed_does_not_say_that_none_was_invoked(sync: Sync, write_deals: WriteDeals, fault: Fault) -> None:
    fault("fail", "/api/invocation", "POST")
    name, artifacts = kept(sync(write_deals()))
    assert name.endswith(" · forecast failed")
    assert "Forecast failed" in artifacts["report"]
    assert "Forecast not invoked" not in artifacts["report"]


def test_a_good_run_is_named_by_what_it_sent_and_every_step_logs_one_line_with_its_facts_as_extras(
    sync: Sync, write_deals: WriteDeals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = sync(write_deals(2, {"name": SECRET["name"], "description": SECRET["description"]}))
    assert state.is_completed()
    name, artifacts = kept(state)
    assert name.startswith("test 20")
    assert " · 3 sent · " in name
    assert set(artifacts) == {"report", "progress", "forecast", "certificate"}
    steps = [record for record in caplog.records if hasattr(record, "dealcast_step") and not getattr(record, "dealcast_waiting", False)]
    named = [record.dealcast_step for record in steps]
    assert [step for step in named if step != "await"] == ["extract", "check", "submit", "invoke", "download", "report"]
    submit = next(record for record in steps if record.dealcast_step == "submit")
    assert submit.dealcast_rows == 3  # type: ignore[attr-defined] # an extra
    assert submit.dealcast_request_id in submit.getMessage()  # type: ignore[attr-defined] # an extra
    assert "Quarkenbush" not in caplog.text
    assert "5550123" not in caplog.text


def test_titles_are_words() -> None:
    assert title(StoppedByGuard("")) == "Blocked by guard"
    assert title(AppendRejected("", ["status", "value"])) == "Refused: 2 columns"
    assert title(AppendRejected("", ["status"])) == "Refused: 1 column"
    assert title(AppendRejected("")) == "Refused"
    assert title(ExportNotFound("")) == "Export not found"


def test_ids_that_look_alike_to_prefect_keep_their_own_keys(home: Any) -> None:  # noqa: ARG001 - the ledger is looked up there
    assert artifact_key("report", "acme") == "report-acme"
    assert artifact_key("report", "acme.eu").startswith("report-acme-eu-")
    assert artifact_key("report", "acme.eu") != artifact_key("report", "acme_eu")


@pytest.mark.slow
def test_a_tag_says_by_which_error_a_run_ended(sync: Sync, write_deals: WriteDeals) -> None:
    """For other processes, and for the deployment's later runs; a message is for people."""
    run_id = sync(write_deals(0)).state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run_id).tags == ["collection:test", "outcome:stopped-by-guard", "error:StoppedByGuard"]


@pytest.mark.slow
def test_tags_say_the_collection_and_the_outcome(sync: Sync, write_deals: WriteDeals) -> None:
    """So the run list filters by them."""
    first, again = sync(write_deals(2), forecast="never"), sync(write_deals(2), forecast="never")
    tags = []
    for state in (first, again):
        run_id = state.state_details.flow_run_id
        assert run_id is not None
        with get_client(sync_client=True) as client:
            tags.append(client.read_flow_run(run_id).tags)
    assert tags == [["collection:test", "outcome:sent"], ["collection:test", "outcome:nothing-new"]]


def test_a_healthy_wait_is_logged_by_change_and_its_retries_stay(
    sync: Sync, write_deals: WriteDeals, fault: Fault, caplog: pytest.LogCaptureFixture, task_states: TaskStates
) -> None:
    """No word of failure for what is intended, one line for each word of the platform's; the API has every retry."""
    fault("altered", "*/append/*", count=6, fields={"status": "in_progress"})
    caplog.set_level(logging.INFO)
    state = sync(write_deals(2), forecast="never")
    assert state.is_completed()
    words = [record.getMessage() for record in caplog.records]
    assert not [word for word in words if "failed" in word or "exception" in word], words
    assert all(record.levelno < logging.WARNING for record in caplog.records if record.name.startswith("prefect")), words
    waits = [record for record in caplog.records if getattr(record, "dealcast_waiting", False)]
    retries = [each for each in task_states(state)["await_append"] if each.name == "AwaitingRetry"]
    assert len(waits) <= 3 < len(retries)
