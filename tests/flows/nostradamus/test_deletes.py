"""Deletes of deals by id: what the client sends, that it never sends one without ids, and how one ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flows.errors import NotFound, OutcomeUnknown, PlatformBusy, UnexpectedAnswer, UsageError
from flows.nostradamus import Nostradamus

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox
    from tests.flows.nostradamus.conftest import Answers

ACCEPTED = b'{"id": "r1", "collectionId": "c", "status": "queued"}'


def test_a_delete_is_the_documented_request(server: Answers, client: Nostradamus) -> None:
    """D*: the method, the path and the body of the sibling's page, followed at the path of its own kind (A)."""
    server.will(202, ACCEPTED).will(200, b'{"id": "r1", "status": "completed"}')
    assert client.delete_deals("c", ["a", "b"]).id == "r1"
    assert client.upload_status("c", "r1", mode="delete").status == "completed"
    (method, path, headers, body), (_, followed, _, _) = server.requests
    assert (method, path, followed) == ("DELETE", "/api/collection/c/data/deals/delete", "/api/collection/c/data/deals/delete/r1")
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"args": {"ids": ["a", "b"]}}


@pytest.mark.parametrize("ids", [[], (), "abc", "", None, [""], ["a", ""], ["a", None], [1]])
def test_a_delete_without_ids_is_never_sent(server: Answers, client: Nostradamus, ids: Any) -> None:
    """Without them the platform deletes every deal."""
    server.will(202, ACCEPTED)
    with pytest.raises(UsageError, match="assumed to delete every deal"):
        client.delete_deals("c", ids)
    assert server.requests == []


@pytest.mark.parametrize(("status", "error"), [(500, OutcomeUnknown), (503, PlatformBusy), (404, NotFound), (204, UnexpectedAnswer)])
def test_a_delete_has_the_outcomes_of_a_post(server: Answers, client: Nostradamus, status: int, error: type[Exception]) -> None:
    server.will(status)
    with pytest.raises(error):
        client.delete_deals("c", ["a"])


def test_a_delete_ends_as_an_upload_does(sandbox: Sandbox) -> None:
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        collection = platform.create_collection("c", "UTC").id
        request = platform.delete_deals(collection, ["a"]).id
        while (found := platform.upload_status(collection, request, mode="delete")).status in ("queued", "in_progress"):
            pass
        assert (found.id, found.status) == (request, "completed")
