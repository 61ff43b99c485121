"""A webhook that fails is told without its URL, in the server that sends the notices."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock as Block

from deployments.commands.automations import webhook_block
from flows.runtime.server_plugin import WebhookFailed, conceal_webhooks


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No test here starts a flow."""


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of a receiver that answers each notice with 404."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook-4711"
        server.shutdown()


@pytest.mark.parametrize(("allowed", "told"), [(True, "HTTPStatusError 404"), (False, "ValueError")])
def test_no_failed_notice_tells_its_url(allowed: bool, told: str, refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where the receiver answers with an error, nor where Prefect posts nothing to its address."""
    monkeypatch.setattr(Block, "notify", Block.notify)  # as it was, once the test ends
    block = webhook_block(refusing)
    block.allow_private_urls = allowed
    with pytest.raises(Exception, match="hook-4711"):
        asyncio.run(block.anotify("failed"))
    conceal_webhooks()
    with pytest.raises(WebhookFailed, match=told) as failed:
        asyncio.run(block.notify("failed"))  # type: ignore[arg-type] # the server awaits it
    assert "4711" not in "".join(traceback.format_exception(failed.value))
