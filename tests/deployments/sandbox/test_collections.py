"""Collections and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from deployments.sandbox import Sandbox, running
from tests.conftest import HANG

if TYPE_CHECKING:
    from tests.deployments.sandbox.conftest import Client


def test_a_new_collection_is_listed_as_it_was_created(api: Client) -> None:
    body = {"name": "Deals", "product": "SalesForecasting", "timezone": "Asia/Tokyo", "tag": {"team": "west"}, "properties": {"a": [1]}}
    created = api.post("/api/collection", json=body)
    assert created.status_code == 201
    assert created.json() == body | {"id": created.json()["id"]}
    assert api.get("/api/collection").json() == {"count": 1, "next": None, "previous": None, "results": [created.json()]}


def test_collections_are_listed_in_pages(api: Client) -> None:
    names = [api.new_collection(name=f"c{number}") for number in range(5)]
    seen, page = [], "/api/collection?limit=2"
    while page:
        body = api.get(page).json()
        assert body["count"] == 5
        seen.append([collection["id"] for collection in body["results"]])
        page = body["next"]
    assert seen == [names[:2], names[2:4], names[4:]]
    assert api.get("/api/collection?limit=2&offset=4").json()["previous"] == "/api/collection?limit=2&offset=2"
    assert api.get("/api/collection?offset=9").json()["results"] == []


@pytest.mark.parametrize(
    "spoiled",
    [{"timezone": "Mars/Base"}, {"timezone": None}, {"product": "Weather"}, {"name": ""}, {"name": 3}, {"tag": "x"}, {"surprise": 1}],
)
def test_a_wrong_collection_is_refused(api: Client, spoiled: dict[str, object]) -> None:
    body = {"name": "Deals", "product": "SalesForecasting", "timezone": "UTC"} | spoiled
    answer = api.post("/api/collection", json=body)
    assert answer.status_code == 422
    assert next(iter(spoiled)) in answer.json()["detail"]
    assert api.get("/api/collection").json()["count"] == 0


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "limit=1001", "offset=99999999999999999999"])
def test_a_wrong_page_is_refused(api: Client, query: str) -> None:
    assert api.get(f"/api/collection?{query}").status_code == 422


WRONG = (None, "", "Token", "Token wrong", "Bearer {token}", "{token}", "Token {token}2", "Basic {token}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("GET", path)
            for path in ("/api/collection", "/api/invocation/1", "/api/nowhere", "/_sandbox", "/_sandbox/", "/%5fsandbox/speed")
        ),
        *(("GET", f"/_sandbox/{name}") for name in ("speed", "rules", "faults", "requests", "uploads", "nowhere")),
        *(("PUT", "/_sandbox/speed"), ("PUT", "/_sandbox/rules"), ("POST", "/_sandbox/faults"), ("POST", "/_sandbox/reset")),
        *(("DELETE", "/_sandbox/faults"), ("DELETE", "/_sandbox/requests")),
    ],
)
def test_no_token_no_answer(sandbox: Sandbox, api: Client, collection: str, method: str, path: str) -> None:
    for authorization in WRONG:
        headers = {} if authorization is None else {"Authorization": authorization.format(token=sandbox.token)}
        answer = httpx.request(method, f"{sandbox.url}{path}", headers=headers, trust_env=False, timeout=HANG)
        assert answer.status_code == 401, authorization
    assert api.get("/api/collection").json()["results"][0]["id"] == collection, "and nothing was done"
    assert "Token" in answer.json()["detail"]
    assert answer.headers["WWW-Authenticate"] == "Token"


def test_an_organisation_sees_its_own_collections_only(client: Callable[..., Client], deals_csv: Callable[..., bytes]) -> None:
    with running(token="ours", other_tokens={"theirs": "rival"}, queued_seconds=0, processing_seconds=0) as sandbox:
        us, them = client(sandbox), client(sandbox, "theirs")
        collection = us.new_collection()
        upload = us.upload(collection, deals_csv({}))
        us.settled(upload)
        invocation = us.invoke(collection)
        us.settled(invocation)
        assert them.get("/api/collection").json()["count"] == 0
        for path in (upload, f"/api/collection/{collection}/data/deals/dump", invocation, f"{invocation}/json"):
            assert us.get(path).status_code == 200
            assert them.get(path).status_code == 404
        assert them.request("DELETE", f"/api/collection/{collection}/data/deals/delete", json={"args": {}}).status_code == 404
        assert us.dump(collection) == deals_csv({})
        body = {"collectionId": collection, "invocationType": "sales-forecasting", "args": {"horizon": 1}}
        assert them.post("/api/invocation", json=body).status_code == 404
        us.close()
        them.close()


def test_a_method_that_a_path_lacks_is_answered_405_with_those_it_has(api: Client) -> None:
    answer = api.put("/api/collection")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"


def test_json_in_another_media_type_is_refused(api: Client) -> None:
    assert api.post("/api/collection", content=b"name=x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert api.post("/api/collection", content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    large = b'{"name": "' + b"x" * (1 << 20) + b'"}'
    assert api.post("/api/collection", content=large, headers={"Content-Type": "application/json"}).status_code == 413
