"""Log lines as JSON and at OpenTelemetry, with the ids as fields: the runbook's examples, as printed."""

from __future__ import annotations

import gzip
import io
import json
import logging.config
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH, load_logging_config

from tests.make_docs import ROOT

if TYPE_CHECKING:
    from tests.flows.conftest import Sync, WriteDeals

RUNBOOK = (ROOT / "deployments/README.md").read_text(encoding="utf-8").partition("\n## Logs for machines\n")[2].partition("\n## ")[0]
MODULE, CODE = re.findall(r"`(dealcast_\w+)\.py`.+?```python\n(.+?)```", RUNBOOK, re.DOTALL)[0]


@contextmanager
def _collector() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OpenTelemetry collector on loopback, and the lines that came to it, as their attributes."""
    lines: list[dict[str, Any]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sent = ExportLogsServiceRequest.FromString(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            for record in (each for logs in sent.resource_logs for scope in logs.scope_logs for each in scope.log_records):
                said = {pair.key: pair.value.string_value or pair.value.int_value for pair in record.attributes}
                lines.append({**said, "message": record.body.string_value})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", lines
        server.shutdown()


def _console() -> logging.Handler:
    """The handler that Prefect makes, as the environment says, for the lines that a worker prints."""
    made = logging.config.DictConfigurator(load_logging_config(DEFAULT_LOGGING_SETTINGS_PATH))
    for name, formatter in made.config["formatters"].items():
        made.config["formatters"][name] = made.configure_formatter(formatter)
    handler: logging.Handler = made.configure_handler(made.config["handlers"]["console"])
    return handler


def _assert_ids(lines: list[dict[str, Any]], run: str, collection: str, request: str | None, invocation: str | None) -> None:
    names = ("extract", "submit", "await", "invoke", "report")
    steps = {step: [line for line in lines if line.get("dealcast_step") == step] for step in names}
    assert all(steps.values()), lines
    assert {line["flow_run_id"] for line in lines if "dealcast_step" in line} == {run}
    assert {line["dealcast_collection"] for line in lines if "dealcast_step" in line} == {collection}
    assert {line["dealcast_request_id"] for line in steps["submit"]} == {request}
    assert {line["dealcast_invocation_id"] for line in steps["invoke"]} == {invocation}
    assert {line.get("dealcast_request_id") or line.get("dealcast_invocation_id") for line in steps["await"]} == {request, invocation}
    assert all(line["task_run_id"] for line in steps["submit"])
    assert [line["dealcast_rows"] for line in steps["submit"]] == [3]


def test_the_examples_of_the_runbook_have_the_ids_as_fields(
    sync: Sync, write_deals: WriteDeals, collection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sync, whose lines a worker's handler prints as JSON and sends to a collector."""
    (tmp_path / f"{MODULE}.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", printed)
    with _collector() as (endpoint, received):
        for name, value in re.findall(r"(\w+)=(\S+)", "".join(re.findall(r"\$ export (.+\n)", RUNBOOK))):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        made: Any = _console()
        loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
        for logger in loggers:
            logger.addHandler(made)
        try:
            state = sync(write_deals())
        finally:
            for logger in loggers:
                logger.removeHandler(made)
            made.provider.shutdown()
    entry = state.result().entry
    ids = (str(state.state_details.flow_run_id), collection, entry.upload.id, entry.forecast.id)
    _assert_ids([json.loads(line) for line in printed.getvalue().splitlines() if "dealcast_step" in line], *ids)
    _assert_ids(received, *ids)
    assert "1000.00" not in printed.getvalue()
