"""`dealcast doctor` on a set-up of the test's own: without a proxy, and with the Prefect server that it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import HANG

if TYPE_CHECKING:
    from tests.conftest import Dealcast

Examined = dict[str, dict[str, Any]]
Examine = Callable[..., Examined]

CLOSED = "http://127.0.0.1:9/api"
"""The discard port: nothing answers there."""


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def prefect_url(no_proxy: None) -> Iterator[Callable[[str | None], None]]:  # noqa: ARG001 - it sets the environment
    """Prefect's settings name no server, or the one that a test then names."""
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415 - prefect takes a second to import

    opened = []

    def name(url: str | None) -> None:
        settings = temporary_settings(restore_defaults={PREFECT_API_URL}) if url is None else temporary_settings({PREFECT_API_URL: url})
        settings.__enter__()
        opened.append(settings)

    name(None)
    yield name
    for settings in reversed(opened):
        settings.__exit__(None, None, None)


@pytest.fixture
def examine(dealcast: Dealcast, prefect_url: object, monkeypatch: pytest.MonkeyPatch) -> Examine:  # noqa: ARG001 - it sets Prefect's settings
    monkeypatch.setattr("deployments.commands.doctor.findings.ANSWER_SECONDS", HANG)  # a busy machine's server is no server that is away

    def run(*arguments: object, code: int = 0) -> Examined:
        found = json.loads(dealcast("doctor", "--json", *arguments, code=code).stdout)
        assert (found["exit_code"], found["outcome"]) == (code, "failed" if code else "ok")
        return {each["check"]: each for each in found["checks"]}

    return run
