"""Who is told what: once for each change of a deployment's state, at a real receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Completed, Crashed, Failed

from deployments.commands.automations import read_automations, webhook_block
from flows.errors import CollectionBusy, DealcastError, ExportNotFound, OutcomeUnknown, StoppedByGuard, UsageError
from flows.nostradamus import Nostradamus
from flows.ui.notices import _since, condition, error_tag
from tests.conftest import wait_for

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from tests.deployments.conftest import Stage

EXPORT = Path(__file__).resolve().parents[3] / "deployments/commands/demo/hubspot-crm-exports-all-deals-2026-11-02.csv"


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A webhook on loopback, and the texts that came to it."""
    texts: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", texts
    finally:
        server.shutdown()
        server.server_close()


def _emitted(stage: Stage, since: datetime) -> list[str]:
    """What dealcast told Prefect of its deployments, in order."""
    wanted = {"occurred": {"since": since.isoformat()}, "event": {"prefix": ["dealcast.sync."]}, "order": "ASC"}
    return [event["event"] for event in stage.ask("events/filter", {"filter": wanted, "limit": 50})["events"]]


@pytest.mark.usefixtures("worker")
@pytest.mark.slow
def test_failure_failure_recovery_is_told_twice(stage: Stage) -> None:
    with Nostradamus(stage.sandbox.url, stage.sandbox.token) as platform:
        collection = platform.create_collection("acme-alerts", "Europe/Rome").id
    begun = datetime.now(UTC)
    good = {
        "export": str(EXPORT),
        "crm": "hubspot",
        "crm_timezone": "Europe/Rome",
        "collection": collection,
        "forecast": "never",
        "max_age": "3650d",
    }
    with receiver() as (url, texts):
        for _ in range(2):
            done = stage.dealcast("automations", "--webhook", url)
            assert done.returncode == 0, done.stderr
        assert len(stage.ask("automations/filter", {})) == len(read_automations()), "installing twice leaves none twice"
        ended = [
            stage.start("sync-deals/on-demand", **{**good, "export": "missing.csv"})["state_type"],
            stage.start("sync-deals/on-demand", **{**good, "export": "missing.csv"})["state_type"],
            stage.start("sync-deals/on-demand", **good)["state_type"],
        ]
        assert ended == ["FAILED", "FAILED", "COMPLETED"]
        wait_for(lambda: len(set(texts)) >= 2, "two notifications")
        emitted = wait_for(lambda: found if len(found := _emitted(stage, begun)) >= 2 else None, "both events to be kept")
    assert emitted == ["dealcast.sync.failing", "dealcast.sync.recovered"]
    texts = list(dict.fromkeys(texts))  # prefect delivers at least once
    assert len(texts) == 2, "\n".join(texts)
    assert texts[0].startswith("dealcast is failing: ")
    assert "Export not found" in texts[0]
    assert texts[1].startswith("dealcast has recovered: ")
    assert " · export not found" in texts[0].splitlines()[0], "the run's name says the collection, the day, and what happened"
    assert "acme-alerts" in texts[1].splitlines()[0]
    assert "; before: failing since 20" in texts[1]
    assert all("Deployment on-demand" in text and f"{stage.url}/v2/runs/flow-run/" in text for text in texts)


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        (Completed(name="NothingNew"), None, "well"),
        (Failed(), StoppedByGuard(), "blocked"),
        (Failed(), ExportNotFound(), "failing"),
        (Failed(name="OutcomeUnknown"), OutcomeUnknown(), "failing"),
        (Failed(), CollectionBusy(), None),
        (Cancelled(), None, None),
        (Crashed(), None, "failing"),
    ],
)
def test_what_an_ended_run_says_of_its_deployment(state: State[object], error: DealcastError | None, expected: str | None) -> None:
    """A run that came while another was at work, or was cancelled, says nothing."""
    assert condition(state, ["dealcast", *([error_tag(error)] if error else [])]) == expected


def test_a_notice_says_since_when_it_was_otherwise_and_whether_older_runs_were_not_looked_at() -> None:
    begun = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def ran(state: State[object], hours: int) -> FlowRun:
        return FlowRun(flow_id=uuid4(), state=state, end_time=begun - timedelta(hours=hours))

    well = [ran(Completed(), hours) for hours in range(19)]
    assert _since(well[:3], "well") == "well since 2026-11-27 10:00 UTC"
    assert _since([*well[:3], ran(Failed(), 3)], "well") == "well since 2026-11-27 10:00 UTC"
    assert _since(well, "well") == "well since 2026-11-26 18:00 UTC or earlier"
    assert _since([], "well") == ""


def test_the_sweep_knows_every_name_under_which_a_run_ends() -> None:
    """A name that it does not expect would get a run that ended well marked as crashed."""
    (sweep,) = [each for each in read_automations() if each["trigger"]["posture"] == "Proactive"]
    assert {
        f"prefect.flow-run.{name}" for name in ("Completed", "NothingNew", "Forgotten", "Failed", "OutcomeUnknown", "Cancelled", "Crashed")
    } <= set(sweep["trigger"]["expect"])


def test_a_webhook_is_a_secret_and_goes_over_https() -> None:
    url = "https://alerts.example/hook?key=s3cret"
    block = webhook_block(url)
    assert block._build_request_args("body", "subject")["url"] == url  # noqa: SLF001 - what Prefect posts to
    assert "s3cret" not in block.model_dump_json()
    for refused in ("http://alerts.example/hook", "alerts.example", "ftp://alerts.example/hook", "https://"):
        with pytest.raises(UsageError, match="must be an https:// URL"):
            webhook_block(refused)
