"""The gate before the forecast: an invocation leaves the process exactly where the platform said `completed`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client

from deployments.sandbox import Sandbox
from flows.delivery.forecast_gate import CompletedAppend
from flows.delivery.lifecycle import AcceptedAppend
from flows.errors import AppendRejected, DeadlinePassed, ForecastFailed, NotAuthorized, NotFound, UnexpectedAnswer
from flows.nostradamus import UploadRequest
from tests.conftest import sampled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, TaskStates, WriteDeals

STORY = [
    "extract_deals",
    "check_deals",
    "submit_append",
    "await_append",
    "invoke_forecast",
    "await_forecast",
    "download_forecast",
    "publish_report",
]


@pytest.mark.slow
@pytest.mark.parametrize("deals", sampled([5, 1, 300]))
def test_completed_is_followed_by_exactly_one_invocation(sync: Sync, write_deals: WriteDeals, asked: Asked, held: Held, deals: int) -> None:
    state = sync(write_deals(deals))
    assert state.is_completed()
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)
    assert len(held()) == deals


def test_the_invocation_comes_after_the_completed_answer(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault, asked: Asked, held: Held, task_states: TaskStates
) -> None:
    """One invocation, and the UI shows the story task by task."""
    fault("altered", "*/append/*", fields={"status": "in_progress"}, count=4)
    state = sync(write_deals())
    assert state.is_completed()
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation"), len(held())) == (1, 1, 3)
    shown = task_states(state)
    assert [name for name in shown if name in STORY] == STORY
    assert {name: states[-1].name for name, states in shown.items()} == dict.fromkeys(shown, "Completed")
    log = sandbox.control("GET", "requests")
    invoked = next(number for number, entry in enumerate(log) if entry["path"] == "/api/invocation")
    looks = [number for number, entry in enumerate(log) if entry["method"] == "GET" and "/append/" in entry["path"]]
    assert len(looks) > 4
    assert max(looks) < invoked, "no look at the append is needed after the one that said completed"


@pytest.mark.slow
def test_the_id_of_an_earlier_invocation_is_no_acceptance(sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked) -> None:
    """Its forecast is of older deals."""
    first = sync(write_deals(3)).result().forecast.invocation_id
    fault("altered", "/api/invocation", "POST", fields={"id": first})
    state = sync(write_deals(4))
    assert state.is_completed(), state.message
    assert state.result().forecast.invocation_id != first
    assert asked("POST", "/api/invocation") == 3


def test_a_completed_with_validation_errors_is_told(
    sync: Sync, write_deals: WriteDeals, fault: Fault, told: list[str], home: Path, collection: str
) -> None:
    """The contract knows them of `error` alone: perhaps some deals are not in."""
    report = [{"DATA": {"DATAFRAME_CHECK": [{"column": "value", "check": "positive", "error": "failure cases: 681234.13"}]}}]
    fault("altered", "*/append/*", fields={"status": "completed", "validationErrors": report}, count=1)
    state = sync(write_deals(), forecast="never")
    assert "3 deals sent (completed with validation errors)" in str(state.message)
    (said,) = (line for line in told if "yet its answer has validation errors (columns: value)" in line)
    assert "`dealcast verify`" in said
    assert "681234" not in " ".join(told)
    folder = home / "forecasts" / collection
    assert said in (folder / "report.md").read_text().replace("\\", "")
    assert "681234.13" in (folder / "rejection.json").read_text()


@pytest.mark.slow
def test_each_look_is_a_retried_attempt_with_its_progress_as_message(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, task_states: TaskStates, told: list[str]
) -> None:
    for word in ("queued", "in_progress"):
        fault("altered", "*/append/*", fields={"status": word}, count=2)
    shown = task_states(sync(write_deals()))
    waits = [state for state in shown["await_append"] if state.name == "AwaitingRetry"]
    looks = asked("GET", "*/append/*")
    assert looks > 4
    assert len(waits) in (looks - 1, looks), "the last look is no wait; the first attempt, right after acceptance, is no look"
    for word in ("queued", "in_progress"):
        assert any(re.fullmatch(f"append request [0-9a-f]{{32}}: {word}, [0-9]+ of [0-9]+ s", line) for line in told)


def test_right_after_acceptance_nothing_is_asked(
    sync: Sync, write_deals: WriteDeals, asked: Asked, task_states: TaskStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look comes when the first delay is over: there are as many waits as looks."""
    monkeypatch.setenv("DEALCAST_POLL_DELAY", "0.7")
    monkeypatch.setenv("DEALCAST_POLL_DELAY_MAX", "0.7")
    shown = task_states(sync(write_deals(), forecast="never"))
    assert [state.name for state in shown["await_append"]].count("AwaitingRetry") == asked("GET", "*/append/*") >= 1


def test_an_error_of_the_platform_s_validation_is_followed_by_no_invocation(
    sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, held: Held, home: Path, task_states: TaskStates
) -> None:
    """The run's message has the platform's reasons, readable; the forecast is shown as skipped, not as failed."""
    fault("spoil", "*/append", "POST")
    state = sync(write_deals(4), out=str(home / "out"))
    error = state.result(raise_on_failure=False)
    assert isinstance(error, AppendRejected)
    assert error.exit_code == 5
    assert asked("POST", "/api/invocation") == 0
    assert held() == {}
    message = state.message or ""
    assert message.startswith("Refused: 1 column. Forecast not invoked: The platform refused append request")
    assert "Validation failed." in message
    assert "column status: isin(['closed_won', 'closed_lost', 'open'])" in message
    assert "spoilt" not in message, "failing values are data: they stay out of Prefect"
    answer = json.loads((home / "out/rejection.json").read_text())
    assert answer["validationErrors"][0]["DATA"]["DATAFRAME_CHECK"][0]["column"] == "status"
    assert (home / "out/rejection.json").stat().st_mode & 0o077 == 0
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)  # type: ignore[arg-type] # a finished run has its id
    assert run.state is not None
    assert (run.state.type.value, run.state.name) == ("FAILED", "Failed"), "an automation on Failed sees no event of another name"
    assert "column status" in (run.state.message or "")
    shown = task_states(state, "invoke_forecast")
    assert shown["await_append"][-1].is_failed()
    assert (shown["invoke_forecast"][-1].name, shown["invoke_forecast"][-1].is_cancelled()) == ("Skipped", True)
    assert "await_forecast" not in shown


@pytest.mark.slow
def test_an_error_without_a_report_still_says_why(failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked) -> None:
    fault("fail", "*/append", "POST")
    error = failing(write_deals())
    assert isinstance(error, AppendRejected)
    assert "Failed on purpose" in str(error)
    assert asked("POST", "/api/invocation") == 0


def report(column: str | None, check: str, error: str) -> dict[str, object]:
    """One entry of Pandera's report, in the documented shape (D)."""
    return {"DATA": {"DATAFRAME_CHECK": [{"schema": "DealsDataModel", "column": column, "check": check, "error": error}]}}


ANSWERS: list[tuple[object, str]] = [
    ([report("addDatetime", "not_nullable", "contains null values:0 NaN")], "column addDatetime: not_nullable: contains null values"),
    (report("value", "positive", "failed, failure cases: -17, -18"), "column value: positive: failed"),
    ([report(None, "column_in_dataframe", "no 'id'")], "(whole file): column_in_dataframe"),
    ("the file is no CSV", "the file is no CSV"),
    (["row 3 is bad", {"rows": [1, 2]}], "row 3 is bad"),
    (["isin failed, failure cases: lost it"], "isin failed\n"),
    ([], "Validation failed"),
    (None, "Validation failed"),
    ([report(f"column-{number}", "isin", "no") for number in range(40)], "and 28 more"),
]


@pytest.mark.parametrize(("errors", "said"), sampled(ANSWERS, 2))
def test_validation_errors_of_any_shape_are_readable(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, errors: object, said: str
) -> None:
    answer = {"status": "error", "message": "Validation failed", "validationErrors": errors}
    fault("altered", "*/append/*", fields=answer, count=None)
    error = failing(write_deals())
    assert isinstance(error, AppendRejected)
    assert said in str(error)
    assert "-17" not in str(error)
    assert len(str(error)) < 4000
    assert asked("POST", "/api/invocation") == 0


@pytest.mark.slow
@pytest.mark.parametrize("word", sampled(["in_progress", "queued"]))
def test_past_the_deadline_there_is_no_invocation(
    failing: Failing, write_deals: WriteDeals, sandbox: Sandbox, asked: Asked, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    speed = {"queued_seconds": 600 if word == "queued" else 0, "processing_seconds": 600}
    sandbox.control("PUT", "speed", speed)
    monkeypatch.setenv("DEALCAST_DEADLINE", "0.5")
    error = failing(write_deals())
    assert isinstance(error, DeadlinePassed)
    assert error.exit_code == 6
    assert f"is still {word}" in str(error)
    assert "may yet finish" in str(error)
    assert "dealcast resume --collection" in str(error)
    assert asked("POST", "/api/invocation") == 0


@pytest.mark.parametrize("word", sampled(["COMPLETED", "paused", "done", ""]))
def test_an_unknown_status_word_is_an_outcome_of_its_own(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, word: str
) -> None:
    """Only `completed`, to the letter, opens the gate; another word is not waited out either."""
    fault("unknown_status", "*/append/*", word=word, count=None)
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert repr(word) in str(error)
    assert (asked("GET", "*/append/*"), asked("POST", "/api/invocation")) == (1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("status", sampled([401, 403]))
@pytest.mark.parametrize(("method", "path"), sampled([("POST", "*/append"), ("GET", "/api/collection"), ("GET", "*/append/*")]))
def test_a_refused_token_is_not_tried_again(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, status: int, method: str, path: str
) -> None:
    fault("status", path, method, status=status, count=None)
    error = failing(write_deals())
    assert isinstance(error, NotAuthorized)
    assert error.exit_code == 5
    assert "DEALCAST_TOKEN" in str(error)
    assert asked(method, path) == 1
    assert asked("POST", "/api/invocation") == 0


def test_a_wrong_token_is_not_tried_again_and_never_shown(
    failing: Failing, write_deals: WriteDeals, asked: Asked, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEALCAST_TOKEN", "wrong-token-4711")
    before = asked("GET", "/api/collection")
    error = failing(write_deals())
    assert isinstance(error, NotAuthorized)
    assert asked("GET", "/api/collection") == before + 1
    assert asked("POST", "*/append") == 0
    assert "4711" not in str(error) + "".join(capfd.readouterr())


def test_a_request_that_the_platform_forgot_ends_the_run(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.delivery.poll._GRACE", 0.0)
    fault("status", "*/append/*", status=404, count=None)
    error = failing(write_deals())
    assert isinstance(error, NotFound)
    assert (asked("GET", "*/append/*"), asked("POST", "/api/invocation")) == (1, 0)


def test_a_short_404_right_after_the_202_is_waited_out(sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked) -> None:
    fault("status", "*/append/*", status=404, count=3)
    assert sync(write_deals()).is_completed()
    assert asked("POST", "/api/invocation") == 1


@pytest.mark.parametrize("kind", sampled(["fail", "fail_result"]))
def test_a_failed_forecast_fails_the_run(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, held: Held, kind: str
) -> None:
    """The deals stay in; the same command then sends nothing again and brings the forecast that is owed."""
    fault(kind, "/api/invocation", "POST")
    error = failing(write_deals())
    assert isinstance(error, ForecastFailed)
    assert error.exit_code == 5
    assert len(held()) == 3
    state = sync(write_deals())
    assert state.is_completed()
    assert len(state.result().forecast.months) == 3
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 2)


@pytest.mark.parametrize("status", ["queued", "in_progress", "error", "Completed", ""])
def test_a_completed_append_cannot_be_made_of_another_answer(status: str) -> None:
    now = datetime.now(UTC)
    with pytest.raises(UnexpectedAnswer, match="no forecast is invoked"):
        CompletedAppend(AcceptedAppend("c", "f", "r", now), UploadRequest(id="r", status=status), now)
