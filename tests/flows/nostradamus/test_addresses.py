"""Where a request may go: to one endpoint of one platform, over TLS, with a token that can be one."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from flows.errors import UsageError
from flows.nostradamus import Nostradamus
from tests.flows.nostradamus.conftest import TOKEN, Answers


@pytest.mark.parametrize(
    "url", ["http://nostradamus.u-hopper.com", "http://10.0.0.5:8000", "http://localhost.evil.example", "http://127.0.0.1.evil.example"]
)
def test_http_is_refused_but_for_loopback(url: str) -> None:
    with pytest.raises(UsageError, match="in clear"):
        Nostradamus(url, TOKEN)
    Nostradamus(url, TOKEN, allow_http=True).close()


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://nostradamus.u-hopper.com", "https://x/base/"]
)
def test_loopback_and_https_are_taken(url: str) -> None:
    Nostradamus(url, TOKEN).close()


@pytest.mark.parametrize("token", ["", "with\nnewline", "tökén", "tab\t", "blank-behind ", " blank-before", "blank within"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(UsageError, match="DEALCAST_TOKEN") as caught:
        Nostradamus("https://x", token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("identifier", ["", ".", "..", "a/b", "../x", "a?b", "a#b", "a\\b", "a\nb", "%2e%2e"])
def test_an_odd_id_cannot_reach_another_endpoint(server: Answers, client: Nostradamus, identifier: str) -> None:
    server.will(200, json.dumps({"id": identifier, "status": "queued"}).encode())
    try:
        client.invocation(identifier)
    except UsageError:
        assert server.requests == []
    else:
        [(_, path, _, _)] = server.requests
        assert path.startswith("/api/invocation/")
        assert "/" not in path.removeprefix("/api/invocation/")


def test_the_base_url_may_have_a_path(server: Answers) -> None:
    server.will(200, b"[]")
    with Nostradamus(f"{server.url}/base/", TOKEN) as client:
        assert list(client.collections()) == []
    assert server.requests[0][1].startswith("/base/api/collection?")


@pytest.mark.parametrize("identifier", ["a/b", "a?b#c", "ä b", "a%2Fb", "..%2f", "a\\b"])
def test_an_odd_id_stays_one_segment_of_its_path(server: Answers, client: Nostradamus, identifier: str) -> None:
    """One that was accepted is followed, whatever its letters, and reaches no other endpoint."""
    server.will(200, json.dumps({"id": identifier, "status": "queued"}).encode())
    assert client.upload_status("c", identifier).status == "queued"
    path = server.requests[0][1]
    assert path.count("/") == 7
    assert unquote(path.rpartition("/")[2]) == identifier


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_an_id_that_is_another_address_is_refused(server: Answers, client: Nostradamus, identifier: str) -> None:
    with pytest.raises(UsageError, match="not an id"):
        client.invocation(identifier)
    assert server.requests == []
