"""What a report says of where it comes from: the sandbox is told by its answers, and never by an address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deployments.sandbox import Sandbox
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.settings import load_settings
from flows.tasks import find_collection
from flows.ui.provenance import note_platform, origin, origin_line, sandbox_of
from tests.conftest import HANG
from tests.faults.foreign_platform import foreign_platform


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("DEALCAST_LEDGER", str(tmp_path))
    return Ledger(str(tmp_path))


def at(monkeypatch: pytest.MonkeyPatch, url: str, token: str = "t") -> None:  # noqa: S107 - opens nothing
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", url)
    monkeypatch.setenv("DEALCAST_TOKEN", token)


def found(collection: str) -> None:
    """Ask the platform for the collection as every sync does."""
    find_collection.fn(SyncOptions(export="deals.csv", crm="canonical", collection=collection))


@pytest.mark.usefixtures("ledger")
def test_the_sandbox_is_told_by_its_answers(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        assert platform.sandbox is None
        collection = platform.create_collection("acme", "Europe/Rome").id
        assert platform.sandbox
    assert httpx.get(f"{sandbox.url}/api/collection", trust_env=False, timeout=HANG).headers["X-Dealcast-Sandbox"] == "1", (
        "a refusal is the sandbox's too"
    )
    at(monkeypatch, sandbox.url, sandbox.token)
    assert origin(collection)["platform"] == sandbox.url, "nothing is known yet"
    found(collection)
    assert origin(collection)["platform"] == f"{sandbox.url} (sandbox)"
    assert origin_line(collection).endswith("(sandbox)")
    at(monkeypatch, "https://nostradamus.u-hopper.com")
    assert origin(collection)["platform"] == "https://nostradamus.u-hopper.com", "what is known of one address is not said of another"


def test_a_platform_on_loopback_is_no_sandbox(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with foreign_platform() as foreign, Nostradamus(foreign.url, foreign.token) as platform:
        collection = platform.create_collection("acme", "Europe/Rome").id
        assert platform.sandbox is False
        at(monkeypatch, foreign.url, foreign.token)
        assert urlsplit(foreign.url).hostname == "127.0.0.1"
        note_platform(ledger, collection, foreign.url, sandbox=True)
        found(collection)
        assert (origin(collection)["platform"], sandbox_of(ledger, collection)) == (foreign.url, None), "and no longer one that was here"


def test_the_sandbox_is_told_at_any_address(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "https://rehearsal.example/")
    note_platform(ledger, "acme", load_settings().platform_url, sandbox=True)
    assert origin("acme")["platform"] == "https://rehearsal.example/ (sandbox)"
