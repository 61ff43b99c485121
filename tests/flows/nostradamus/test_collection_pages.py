"""The list of collections: it is read to its end, whatever the shape of its pages, and no link leads the token elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flows.errors import UnexpectedAnswer
from flows.nostradamus import Nostradamus

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox
    from tests.flows.nostradamus.conftest import Answers


def page(first: int, count: int) -> bytes:
    return json.dumps([{"id": f"c{number}", "name": "n", "timezone": "UTC"} for number in range(first, first + count)]).encode()


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_all_pages_of_collections_are_read(sandbox: Sandbox, count: int) -> None:
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        made = [platform.create_collection(f"c{number}", "UTC").id for number in range(count)]
        assert [found.id for found in platform.collections()] == made


@pytest.mark.parametrize("key", [None, "results", "items", "collections", "data"])
def test_a_page_is_a_list_or_an_object_with_one(server: Answers, client: Nostradamus, key: str | None) -> None:
    first, second = json.loads(page(0, 100)), json.loads(page(100, 7))
    for listed in (first, second):
        server.will(200, json.dumps(listed if key is None else {key: listed, "count": 107}).encode())
    server.will(200, json.dumps([] if key is None else {key: [], "count": 107}).encode())
    assert len(list(client.collections())) == 107
    assert [path for _, path, _, _ in server.requests] == [f"/api/collection?limit=100&offset={offset}" for offset in (0, 100, 107)]


def test_a_server_that_pages_smaller_than_asked_is_read_to_its_end(server: Answers, client: Nostradamus) -> None:
    """A platform may cap the limit: a short page with more behind it is not the last."""
    for first, count in ((0, 50), (50, 50), (100, 7), (107, 0)):
        server.will(200, json.dumps({"count": 107, "results": json.loads(page(first, count))}).encode())
    assert len(list(client.collections())) == 107


def test_a_page_has_an_end(server: Answers, client: Nostradamus) -> None:
    """Each collection takes a hundred times the memory of its text."""
    server.will(200, json.dumps([{"id": number} for number in range(1, 100_002)]).encode())
    with pytest.raises(UnexpectedAnswer, match=r"a page of 100,001 collections.*--timezone ZONE"):
        list(client.collections())


def test_a_server_that_ignores_the_offset_does_not_hold_us_for_ever(server: Answers, client: Nostradamus) -> None:
    server.will(200, page(0, 100))
    assert len({found.id for found in client.collections()}) == 100
    assert len(server.requests) == 2


SHAPES: dict[str, Callable[[list[Any]], Any]] = {
    "under an unknown key": lambda page: {"total": 3, "pages": [1], "organisationCollections": page},
    "deeper": lambda page: {"meta": {"total": 3}, "response": {"page": {"entries": page}}},
    "beside a list of another kind": lambda page: {"links": ["a", "b"], "errors": [], "found": page},
    "beside empty lists": lambda page: {"errors": [], "found": page},
    "a known key wins": lambda page: {"owners": [{"id": "o1"}], "results": page},
    "fields of other kinds": lambda page: [{**entry, "name": None, "timezone": {"name": "UTC"}, "tag": []} for entry in page],
    "ids that are numbers": lambda page: [{**entry, "id": int(entry["id"][1:])} for entry in page],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_page_of_any_shape_is_read(server: Answers, client: Nostradamus, shape: str) -> None:
    for first, count in ((0, 2), (2, 1), (3, 0)):
        server.will(200, json.dumps(SHAPES[shape](json.loads(page(first, count)))).encode())
    assert [found.id.removeprefix("c") for found in client.collections()] == ["0", "1", "2"]


@pytest.mark.parametrize("last", [None, "", False])
def test_a_next_that_is_empty_ends_the_list(server: Answers, client: Nostradamus, last: Any) -> None:
    server.will(200, json.dumps({"items": json.loads(page(0, 2)), "next": last}).encode())
    assert len(list(client.collections())) == 2
    assert len(server.requests) == 1


@pytest.mark.parametrize("where", ["", "https://elsewhere.example", "/api/v2/collection"])
def test_a_next_s_parameters_are_followed_and_nothing_else_of_it(server: Answers, client: Nostradamus, where: str) -> None:
    """A platform may page by a cursor; the token goes to no other host or path, whatever the link says."""
    for first, following in ((0, f"{where}?cursor=abc&limit=2"), (2, f"{where}?cursor=def&limit=2"), (4, None)):
        server.will(200, json.dumps({"items": json.loads(page(first, 2)), "next": following}).encode())
    assert len(list(client.collections())) == 6
    paths = [path for _, path, _, _ in server.requests]
    assert paths == ["/api/collection?limit=100&offset=0", "/api/collection?cursor=abc&limit=2", "/api/collection?cursor=def&limit=2"]


@pytest.mark.parametrize("odd", [7, True, "opaque", ["x"], "http://["])
def test_a_next_that_is_no_link_is_gone_on_from_by_the_offset(server: Answers, client: Nostradamus, odd: Any) -> None:
    for first, count in ((0, 2), (2, 1), (3, 0)):
        server.will(200, json.dumps({"items": json.loads(page(first, count)), "next": odd}).encode())
    assert len(list(client.collections())) == 3


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'"x"', b"null", b"{}", b'{"results": 5}', b"[1]", b'[{"name": "no id"}]', b"[[]]"])
def test_a_list_of_collections_that_is_none_is_told(server: Answers, client: Nostradamus, body: bytes) -> None:
    server.will(200, body)
    with pytest.raises(UnexpectedAnswer, match=r"no list of collections.*Is DEALCAST_PLATFORM_URL the platform, .* a login page"):
        list(client.collections())


def test_a_list_of_collections_without_end_is_given_up(client: Nostradamus, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = iter(range(10**6))
    monkeypatch.setattr(client, "_get", lambda *_, **__: httpx.Response(200, json=[{"id": f"c{next(pages)}"}]))
    with pytest.raises(UnexpectedAnswer, match="more than 1,000 pages or 16 MiB, and no setting raises that"):
        list(client.collections())
    assert next(pages) <= 1001


def test_a_collection_is_looked_for_by_its_id_no_further_than_where_it_stands(server: Answers, client: Nostradamus) -> None:
    """Every sync asks for its own, of however many."""
    server.will(200, page(0, 2))
    assert client.collection("c1").id == "c1"
    assert len(server.requests) == 1
