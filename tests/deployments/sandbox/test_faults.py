"""The fault kit, seen from a client."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import httpx
import pytest

import deployments.sandbox
from deployments.sandbox import Sandbox, running
from deployments.sandbox.faults.fault_kit import Kind
from tests.conftest import HANG, wait_for

if TYPE_CHECKING:
    from tests.deployments.sandbox.conftest import Client

DealsCsv = Callable[..., bytes]
SetFault = Callable[..., None]

NO_ANSWER = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@pytest.fixture
def fault(sandbox: Sandbox) -> SetFault:
    def set_fault(kind: str, **options: object) -> None:
        sandbox.control("POST", "faults", {"kind": kind, **options})

    return set_fault


def post(api: Client, collection: str, content: bytes) -> httpx.Response:
    path = f"/api/collection/{collection}/data/deals/append"
    return api.post(path, files={"file": ("deals.csv", content, "text/csv")}, data={"separator": ","})


def accepted(sandbox: Sandbox) -> int:
    return len(sandbox.control("GET", "uploads"))


@pytest.mark.parametrize("kind", ["drop", "drop_unread", "drop_after_commit"])
def test_a_dropped_request_gets_no_answer(sandbox: Sandbox, api: Client, deals_csv: DealsCsv, fault: SetFault, kind: str) -> None:
    collection, done = api.new_collection(), int(kind == "drop_after_commit")
    fault(kind, method="POST", path="*/append")
    with pytest.raises(NO_ANSWER):
        post(api, collection, deals_csv({"name": "x" * 1_000_000}))
    assert accepted(sandbox) == done
    assert post(api, collection, deals_csv({})).status_code == 202
    assert accepted(sandbox) == done + 1
    [first, second] = sandbox.control("GET", "requests?method=POST&path=*/append")
    assert (first["status"], first["fault"], second["status"], second["fault"]) == (None, kind, 202, None)


def test_half_an_answer_is_no_answer(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    fault("half", path="*/append")
    with pytest.raises(NO_ANSWER):
        post(api, collection, deals_csv({}))
    assert accepted(sandbox) == 1


def test_a_status_with_retry_after(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    fault("status", status=429, retry_after=7, path="*/append", count=2)
    for _ in range(2):
        answer = post(api, collection, deals_csv({}))
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert accepted(sandbox) == 0
    assert post(api, collection, deals_csv({})).status_code == 202


def test_an_error_that_hides_a_commit(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    fault("status_after_commit", status=502, path="*/append")
    assert post(api, collection, deals_csv({})).status_code == 502
    assert accepted(sandbox) == 1


@pytest.mark.parametrize("kind", ["delay", "slow"])
def test_a_late_answer_is_whole(api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault, kind: str) -> None:
    fault(kind, seconds=0.3, path="*/append")
    started = time.monotonic()
    assert post(api, collection, deals_csv({})).json()["status"] == "queued"
    assert time.monotonic() - started >= 0.3


def test_answers_that_make_no_sense(api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    fault("garbage", path="*/append", body="oops")
    answer = post(api, collection, deals_csv({}))
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (202, "oops", "text/html; charset=utf-8")
    fault("no_id", path="*/append")
    assert "id" not in post(api, collection, deals_csv({})).json()
    path = api.upload(collection, deals_csv({}))
    fault("unknown_status", word="paused", method="GET", path="*/append/*")
    assert api.get(path).json()["status"] == "paused"
    assert api.settled(path)["status"] == "completed"


def test_a_request_not_found_right_after_its_202(api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    fault("status", status=404, method="GET", path="*/append/*", count=2)
    path = api.upload(collection, deals_csv({}))
    assert [api.get(path).status_code for _ in range(3)] == [404, 404, 200]


def test_flapping(api: Client, fault: SetFault) -> None:
    fault("flap", path="/api/collection", count=None)
    assert [api.get("/api/collection").status_code for _ in range(4)] == [503, 200, 503, 200]


def test_skipping_lets_the_first_pass(api: Client, fault: SetFault) -> None:
    fault("status", path="/api/collection", skip=2, count=1, status=500)
    assert [api.get("/api/collection").status_code for _ in range(4)] == [200, 200, 500, 200]


def test_a_redirect_to_another_host_is_seen_there(sandbox: Sandbox, api: Client, fault: SetFault) -> None:
    with running() as other:
        fault("redirect", location=f"{other.url.replace('127.0.0.1', 'localhost')}/api/collection")
        answer = api.get("/api/collection", follow_redirects=True)
        assert answer.status_code == 401
        [arrived] = other.control("GET", "requests")
        assert arrived["token_sent"] is False
    [sent] = sandbox.control("GET", "requests")
    assert (sent["status"], sent["token_sent"]) == (307, True)


def test_a_stuck_request_stays_in_progress_until_faults_are_cleared(
    sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault
) -> None:
    fault("stuck", path="*/append")
    path, behind = api.upload(collection, deals_csv({})), api.upload(collection, deals_csv({}))
    wait_for(lambda: api.get(path).json()["status"] == "in_progress", "the stuck request's turn")
    assert api.get(behind).json()["status"] == "queued"
    assert api.append(api.new_collection(), deals_csv({}))["status"] == "completed"
    sandbox.control("DELETE", "faults")
    assert api.settled(path)["status"] == "completed"
    assert api.settled(behind)["status"] == "completed"


def test_work_that_fails(api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    fault("fail", method="POST", path="*/append")
    assert api.append(collection, deals_csv({}))["status"] == "error"
    assert api.append(collection, deals_csv({}))["status"] == "completed"
    fault("fail", path="/api/invocation")
    fault("fail_result", path="/api/invocation")
    assert api.settled(api.invoke(collection))["status"] == "error"
    path = api.invoke(collection)
    ended = api.settled(path)
    assert (ended["status"], ended["invocationResults"]["baseline-forecast"]["status"]) == ("completed", "error")
    assert api.get(f"{path}/json").status_code == 409


def test_faults_are_listed_and_cleared(sandbox: Sandbox, api: Client, fault: SetFault) -> None:
    fault("drop", path="/api/nowhere")
    [waiting] = sandbox.control("GET", "faults")
    assert (waiting["kind"], waiting["path"], waiting["count"], waiting["matched"]) == ("drop", "/api/nowhere", 1, 0)
    sandbox.control("DELETE", "faults")
    assert sandbox.control("GET", "faults") == []
    assert api.get("/api/nowhere").status_code == 404


@pytest.mark.parametrize("wrong", [{"kind": "earthquake"}, {"kind": "drop", "count": 0}, {"kind": "redirect"}, {"kind": "drop", "when": 1}])
def test_a_wrong_fault_is_refused(sandbox: Sandbox, wrong: dict[str, object]) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        sandbox.control("POST", "faults", wrong)


def test_the_manual_names_every_fault(sandbox: Sandbox) -> None:
    manual = httpx.get(f"{sandbox.url}/_sandbox/", headers={"Authorization": f"Token {sandbox.token}"}, trust_env=False, timeout=HANG).text
    readme = (Path(deployments.sandbox.__file__).parent / "README.md").read_text()
    for kind in get_args(Kind):
        assert f"* ``{kind}``: " in manual
        assert f"`{kind}`" in readme


def test_reset_forgets_everything(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv, fault: SetFault) -> None:
    sandbox.control("PUT", "speed", {"queued_seconds": 60, "processing_seconds": 60})
    fault("drop", path="/api/nowhere")
    path = api.upload(collection, deals_csv({}))
    sandbox.control("POST", "reset")
    assert sandbox.control("GET", "requests") == sandbox.control("GET", "faults") == sandbox.control("GET", "uploads") == []
    assert sandbox.control("GET", "speed")["queued_seconds"] < 1
    assert api.get(path).status_code == 404
    assert api.append(api.new_collection(), deals_csv({}))["status"] == "completed"
