"""A POST and its record: what the ledger cannot take is not lost from the message."""

from __future__ import annotations

import errno

import pytest

from flows.delivery.submit import send_once
from flows.errors import FileTrouble
from flows.ledger.store import Sending


def test_an_acceptance_that_cannot_be_recorded_is_named() -> None:
    """The intent stays in the ledger, so that the next run sends again, and people can find what was accepted."""
    recorded: list[str] = []

    def record(sending: Sending) -> None:
        if sending.state == "accepted":
            raise OSError(errno.ENOSPC, "No space left on device")
        recorded.append(sending.state)

    with pytest.raises(FileTrouble, match=r"request-4711.*No space left"):
        send_once(None, record, lambda: "request-4711", what="append to acme", policy="resend")
    assert recorded == ["intended"]
