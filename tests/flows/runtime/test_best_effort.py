"""What is only shown is asked of Prefect once, and left out for a while where there is no answer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.runtime import best_effort
from flows.runtime.best_effort import show
from flows.ui import artifacts, run_name


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_effort, "STATE", best_effort.State())


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Prefect server that takes connections and never answers."""
    monkeypatch.setattr(best_effort, "SECONDS", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{listener.getsockname()[1]}/api"}):
        yield


def test_a_server_that_does_not_answer_is_asked_once(silent: None, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ARG001 - it is there
    asked: list[str] = []

    def call() -> None:
        asked.append("asked")
        get_client(sync_client=True).read_flows()

    for _ in range(3):
        assert show("A picture", call) is None
    assert asked == ["asked"]
    (told,) = (record for record in caplog.records if "A picture was not shown" in record.getMessage())
    assert "waits for it at the end" in told.getMessage()
    assert vars(told)["dealcast_step"] == "prefect", "a line on the terminal too: the wait would be without a word"


def test_the_client_that_it_is_asked_with_waits_shortly_and_does_not_retry(silent: None) -> None:  # noqa: ARG001 - as above
    def call() -> tuple[httpx.Timeout, int]:
        return get_client(sync_client=True)._client.timeout, PREFECT_CLIENT_MAX_RETRIES.value()  # noqa: SLF001 - nothing else tells

    assert show("It", call) == (httpx.Timeout(0.2), 0)
    assert PREFECT_CLIENT_MAX_RETRIES.value() > 0


class _InARun:
    """The context of a run of one collection, of which Prefect's server has not heard."""

    parameters = {"collection": "acme"}  # noqa: RUF012 - as Prefect has it
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), tags=[])

    @classmethod
    def get(cls) -> type[_InARun]:
        return cls


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "tell", [lambda: run_name.name_run("acme", "at work"), lambda: artifacts.show_progress("acme", 5, "reading")], ids=["name", "progress"]
)
def test_names_and_progress_are_shown_so(
    silent: None,  # noqa: ARG001 - as above
    tell: Callable[[], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path))
    for module in (run_name, artifacts):
        monkeypatch.setattr(module, "FlowRunContext", _InARun)
    tell()
    assert best_effort.STATE.away_until > 0


def test_artifacts_are_made_so(silent: None) -> None:  # noqa: ARG001 - as above
    with pytest.warns(FutureWarning, match="outside of a flow"):
        assert show("An artifact", lambda: create_markdown_artifact("text", "key")) is None
    assert best_effort.STATE.away_until > 0
