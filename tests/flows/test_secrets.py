"""A canary token goes to the platform and nowhere else: no log, file, database, state, artifact or traceback holds it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

import pytest
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_HOME

from deployments.sandbox import Sandbox, running
from flows.errors import UsageError
from flows.nostradamus import Nostradamus
from flows.settings import Settings, load_settings
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Sync, WriteDeals

CANARY = "canary-5f3a9c71e0d24b68"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One that takes the canary for a token."""
    with running(token=CANARY, queued_seconds=0.01, processing_seconds=0.01) as sandbox:
        yield sandbox


def files_with_canary(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def prefect_database() -> Path:
    """The folder of the database of this session's Prefect server."""
    url = str(PREFECT_API_DATABASE_CONNECTION_URL.value())
    return Path(url.partition(":///")[2].partition("?")[0]).parent


def shown(state: State[Any]) -> str:
    """What a failed run shows: its message, and the traceback with the values of all local variables."""
    error = state.result(raise_on_failure=False)
    assert isinstance(error, BaseException)
    return "\n".join([str(state.message), *TracebackException.from_exception(error, capture_locals=True).format()])


FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "refused with the token in the answer": {"kind": "garbage", "method": "POST", "path": "*/append", "body": f"<b>bad token {CANARY}</b>"},
    "dropped": {"kind": "drop", "method": "POST", "path": "*/append"},
    "redirected": {"kind": "redirect", "method": "POST", "path": "*/append", "location": "http://127.0.0.1:9/elsewhere"},
    "refused": {"kind": "status", "method": "POST", "path": "*/append", "status": 401},
    "garbage from a poll": {"kind": "garbage", "method": "GET", "path": "*/append/*", "body": f"Authorization: Token {CANARY}"},
    "a status word that is the token": {"kind": "unknown_status", "method": "GET", "path": "*/append/*", "word": CANARY},
    "ends in error": {"kind": "fail", "method": "POST", "path": "*/append"},
}


@pytest.mark.parametrize("name", sampled(FAULTS.keys(), 2))
def test_the_token_is_found_nowhere(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, home: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    if FAULTS[name]:
        sandbox.control("POST", "faults", {"count": None, **FAULTS[name]})
    state = sync(write_deals())
    assert state.is_completed() is (name == "none")
    assert any("/append" in line for line in logged), "httpx was heard"
    assert [line for line in logged if CANARY in line] == []
    assert files_with_canary(home) == []
    assert files_with_canary(prefect_database()) == []
    assert files_with_canary(PREFECT_HOME.value()) == []
    if name != "none":
        assert CANARY not in shown(state)


def test_the_search_finds_what_is_there(tmp_path: Path, logged: list[str]) -> None:
    (tmp_path / "leak").write_text(CANARY)
    logging.getLogger("prefect.flow_runs").debug("Token %s", CANARY)
    logging.getLogger("httpx").debug("Token %s", CANARY)
    assert files_with_canary(tmp_path) == [tmp_path / "leak"]
    assert len([line for line in logged if CANARY in line]) == 2
    assert list(prefect_database().glob("*.db*"))


def test_a_secret_block_serves_in_place_of_the_variable(sync: Sync, write_deals: WriteDeals, monkeypatch: pytest.MonkeyPatch) -> None:
    Secret(value=CANARY).save("platform-token", overwrite=True, _sync=True)  # type: ignore[call-arg] # prefect's sync_compatible hides the type
    monkeypatch.delenv("DEALCAST_TOKEN")
    monkeypatch.setenv("DEALCAST_TOKEN_BLOCK", "platform-token")
    state = sync(write_deals())
    assert state.is_completed()
    assert files_with_canary(prefect_database()) == [], "a Secret block is encrypted"


def test_the_token_is_not_sent_along_with_a_redirect(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    with running(token="another") as elsewhere:
        fault = {
            "kind": "redirect",
            "method": "POST",
            "path": "*/append",
            "location": f"{elsewhere.url}/api/collection/x/data/deals/append",
        }
        sandbox.control("POST", "faults", fault)
        assert sync(write_deals()).is_failed()
        assert elsewhere.control("GET", "requests") == []


@pytest.mark.parametrize("url", ["http://platform.example", "http://10.0.0.1:8765", "http://localhost.example"])
def test_http_is_refused_for_hosts_that_are_not_loopback(url: str) -> None:
    with pytest.raises(UsageError, match="would send the token in clear"):
        Nostradamus(url, CANARY)
    Nostradamus(url, CANARY, allow_http=True).close()
    Nostradamus("https://platform.example", CANARY).close()
    Nostradamus("http://127.0.0.1:8765", CANARY).close()


def test_settings_and_client_do_not_show_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_TOKEN", CANARY)
    settings = load_settings()
    with settings.platform() as platform:
        for text in (repr(settings), str(settings), settings.model_dump_json(), repr(platform), repr(vars(platform))):
            assert CANARY not in text
    assert isinstance(settings, Settings)
