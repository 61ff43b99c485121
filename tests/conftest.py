"""Fixtures for all rooms: real servers, one per session and worker, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployments.sandbox import Sandbox, running


@pytest.fixture(scope="session")
def session_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the session; use `sandbox` unless the test brings its own collection and touches no control route."""
    with running(queued_seconds=0.01, processing_seconds=0.01) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    """The session's sandbox, as if it had just been started empty."""
    session_sandbox.control("POST", "reset")
    return session_sandbox
