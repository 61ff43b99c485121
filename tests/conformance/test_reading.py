"""What can be asked without sending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.nostradamus.collection_page import page_of
from tests.conftest import HANG

if TYPE_CHECKING:
    from tests.conformance.conftest import Platform

NOBODY = "dealcast-conformance-unknown"


@pytest.mark.fact("token")
@pytest.mark.parametrize("authorization", [None, "Token dealcast-conformance-wrong", "Bearer dealcast-conformance-wrong"])
def test_nothing_is_answered_without_the_token(platform: Platform, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = httpx.get(f"{platform.url}/api/collection", headers=headers, timeout=HANG, trust_env=False)
    assert answer.status_code in (401, 403)


@pytest.mark.fact("refusal")
def test_a_refusal_says_why(platform: Platform) -> None:
    answer = platform.http.get(f"/api/collection/{NOBODY}/data/deals/append/{NOBODY}")
    assert not answer.is_success
    assert answer.content


@pytest.mark.fact("page-shape")
def test_a_page_of_collections_is_read_as_the_client_reads_it(platform: Platform) -> None:
    listed = page(platform, 100, 0)
    assert [collection.id for collection in platform.client.collections()][: len(listed)] == listed


@pytest.mark.fact("listed-zone")
def test_every_listed_collection_has_its_timezone(platform: Platform) -> None:
    nameless = [collection.id for collection in platform.client.collections() if collection.timezone is None]
    assert nameless == [], "for these a sync needs --timezone"


@pytest.mark.fact("collection-list")
def test_a_limit_and_an_offset_cut_pages(platform: Platform) -> None:
    if len(list(platform.client.collections())) < 3:  # made only where sending is allowed
        for _ in range(3):
            platform.new_collection()
    every = [collection.id for collection in platform.client.collections()]
    assert page(platform, 2, 0) == every[:2]
    assert page(platform, 2, 1) == every[1:3]


def page(platform: Platform, limit: int, offset: int) -> list[str]:
    """The ids on one page of collections."""
    answer = platform.http.get("/api/collection", params={"limit": limit, "offset": offset})
    assert answer.status_code == 200
    return [collection.id for collection in page_of(answer)[0]]


@pytest.mark.fact("unknown")
@pytest.mark.parametrize(
    "path",
    [f"/api/collection/{NOBODY}/data/deals/dump", f"/api/collection/{NOBODY}/data/deals/append/{NOBODY}", f"/api/invocation/{NOBODY}"],
)
def test_an_unknown_id_is_answered_404(platform: Platform, path: str) -> None:
    assert platform.http.get(path).status_code == 404


@pytest.mark.fact("dump")
def test_a_dump_has_the_35_columns(platform: Platform) -> None:
    first = next(platform.client.collections(), None)
    if first is None:
        pytest.skip("needs a collection")
    with platform.http.stream("GET", f"/api/collection/{first.id}/data/deals/dump") as answer:
        assert answer.status_code == 200
        header = next(answer.iter_lines()).removeprefix("\ufeff")
    assert set(COLUMN_NAMES) <= {name.strip('"') for name in header.split(",")}
