"""Installing `automations.yaml`: with the notification block it is to use, and without leaving an automation twice."""

from __future__ import annotations

from importlib.resources import files
from typing import Any
from uuid import UUID

import httpx
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict

from flows.errors import UsageError
from flows.nostradamus.client import LOOPBACK

WEBHOOK = "dealcast-alerts"
"""Name of the custom-webhook block that `--webhook` makes."""

_PLACEHOLDER = "00000000-0000-0000-0000-000000000000"


def install(block: str | None, webhook: str | None) -> list[str]:
    """Create the automations, or replace those of the same name; returns their names.

    Without a block and a webhook, only those that notify nobody are made: the zombie sweep.

    Args:
        block: a notification block as ``TYPE/NAME``, such as ``slack-webhook/alerts``.
        webhook: a URL to post ``{"text": ...}`` to, in place of a block.

    Raises:
        UsageError: both are given, or the block does not exist.
    """
    if block is not None and webhook is not None:
        raise UsageError("Say where to notify once: --block TYPE/NAME, or --webhook URL.")
    target = _webhook_block(webhook) if webhook is not None else _block_id(block) if block is not None else None
    pointed = [_pointed(each, target) for each in read_automations() if target is not None or _PLACEHOLDER not in str(each)]
    wanted = [AutomationCore.model_validate(each) for each in pointed]
    with get_client(sync_client=True) as client:
        for automation in wanted:
            for old in client.read_automations_by_name(automation.name):
                client.delete_automation(old.id)
            client.create_automation(automation)
    return [automation.name for automation in wanted]


def read_automations() -> list[dict[str, Any]]:
    """The automations as they are written in `automations.yaml`."""
    document = yaml.safe_load((files("deployments") / "automations.yaml").read_text(encoding="utf-8"))
    return list(document["automations"])


def _pointed(automation: dict[str, Any], target: UUID | None) -> dict[str, Any]:
    """The automation with the block's id in place of the placeholder."""
    actions = [
        {**action, "block_document_id": str(target)} if action.get("block_document_id") == _PLACEHOLDER else action
        for action in automation["actions"]
    ]
    return {**automation, "actions": actions}


def webhook_block(url: str) -> CustomWebhookNotificationBlock:
    """The block that posts to ``url``, which Prefect keeps encrypted and shows nobody: who knows a webhook may post to it.

    Raises:
        UsageError: it is not https, and not of this machine.
    """
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL("")
    if not found.host or (found.scheme != "https" and not (found.scheme == "http" and found.host in LOOPBACK)):
        raise UsageError("--webhook must be an https:// URL: whoever knows it may post there, and http:// sends it in clear.")
    secret = SecretDict({"webhook": url})
    return CustomWebhookNotificationBlock(name=WEBHOOK, url="{{webhook}}", json_data={"text": "{{subject}}\n{{body}}"}, secrets=secret)


def _webhook_block(url: str) -> UUID:
    block = webhook_block(url)
    return UUID(str(block.save(WEBHOOK, overwrite=True, _sync=True)))  # type: ignore[call-arg] # prefect's sync_compatible hides it


def _block_id(block: str) -> UUID:
    kind, _, name = block.partition("/")
    try:
        with get_client(sync_client=True) as client:
            found: BlockDocument = client.read_block_document_by_name(name, kind)
    except ObjectNotFound as error:
        raise UsageError(f"Prefect knows no block {block!r}: write TYPE/NAME as `prefect block ls` shows it.") from error
    return found.id
