"""The module that a Prefect server imports where dealcast is installed, as an entry point of `prefect.collections`; workers import it too.

So whoever starts a server, `dealcast up`, `prefect server start` or a sync its temporary one, has it work as `prefect_sqlite` says, keep
its leases over a restart, and log no webhook's URL.
"""

from __future__ import annotations

import sys
from typing import Any


class WebhookFailed(Exception):
    """A notification could not be posted; the message has no URL, since who knows a webhook may post there."""


def conceal_webhooks() -> None:
    """Let no failed webhook of this process's server be told with its URL: an error of httpx names it, and the server logs the error."""
    import httpx  # noqa: PLC0415 - workers do without
    from prefect.blocks.notifications import CustomWebhookNotificationBlock as Block  # noqa: PLC0415 - as above

    post = Block.anotify

    async def notify(self: Block, body: str, subject: str | None = None) -> None:
        try:
            await post(self, body, subject)
        except Exception as error:  # noqa: BLE001 - whatever it is, it may name the URL
            answer = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
            raise WebhookFailed(
                f"Webhook of block {self._block_document_name or 'custom-webhook'}: {type(error).__name__}{answer}"
            ) from None

    changed: Any = Block
    changed.notify = notify


if "prefect.server.api.server" in sys.modules:  # a server, not a worker, for which importing its database takes too long
    from flows.runtime.prefect_settings import keep_leases_on_disk
    from flows.runtime.prefect_sqlite import take_turns

    take_turns()
    conceal_webhooks()
    keep_leases_on_disk()
