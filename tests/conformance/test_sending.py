"""Collections, uploads and what they leave: each test has a throw-away collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.nostradamus import UploadRequest
from flows.nostradamus.validation_errors import columns, describe

if TYPE_CHECKING:
    from tests.conformance.conftest import Platform

WRONG = {"id": "wrong", "status": "won", "lastUpdateDatetime": ""}


@pytest.mark.fact("collection")
def test_a_created_collection_is_listed(platform: Platform, collection: str) -> None:
    assert platform.client.collection(collection).id == collection


@pytest.mark.fact("listed-zone")
def test_a_created_collection_is_listed_with_its_timezone(platform: Platform, collection: str) -> None:
    assert platform.client.collection(collection).timezone == "Europe/Rome"


@pytest.mark.fact("collection-empty")
def test_a_new_collection_is_empty(platform: Platform, collection: str) -> None:
    assert platform.held(collection) == {}


@pytest.mark.fact("append")
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_an_append_is_accepted_and_completed(platform: Platform, collection: str, separator: str) -> None:
    ended = platform.upload(collection, {"id": "a", "name": f"x{separator}y"}, separator=separator)
    assert ended.status == "completed", describe(ended)
    assert platform.held(collection)["a"]["name"] == f"x{separator}y"


@pytest.mark.fact("upload-request")
def test_an_accepted_upload_has_the_documented_fields(platform: Platform, collection: str) -> None:
    answer = platform.post(collection, platform.csv({"id": "a"}))
    assert answer.status_code == 202
    body = answer.json()
    expected = {"collectionId": collection, "dataType": "deals", "separator": ",", "message": None, "validationErrors": None}
    assert {name: body[name] for name in expected} == expected
    assert {"id", "dumpDatetime", "status"} <= body.keys()
    assert UploadRequest.model_validate(body).id == body["id"]
    platform.ended(collection, body["id"])


@pytest.mark.fact("append-status")
def test_a_request_is_followed_to_its_end(platform: Platform, collection: str) -> None:
    accepted = platform.post(collection, platform.csv({"id": "a"})).json()
    platform.ended(collection, accepted["id"])
    answer = platform.http.get(f"/api/collection/{collection}/data/deals/append/{accepted['id']}")
    assert answer.json() == {**accepted, "status": "completed"}


@pytest.mark.fact("upload-words")
def test_an_upload_has_one_of_the_four_words(platform: Platform, collection: str) -> None:
    accepted = platform.post(collection, platform.csv({"id": "a"})).json()
    assert accepted["status"] in ("queued", "in_progress", "completed")
    assert platform.ended(collection, accepted["id"]).status == "completed"


@pytest.mark.fact("refusal")
def test_a_form_without_a_file_is_refused_with_a_reason(platform: Platform, collection: str) -> None:
    answer = platform.http.post(f"/api/collection/{collection}/data/deals/append", data={"separator": ","})
    assert 400 <= answer.status_code < 500
    assert answer.content


@pytest.mark.fact("merge")
def test_a_second_append_adds_to_the_first(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a"})
    platform.upload(collection, {"id": "b"})
    assert platform.held(collection).keys() == {"a", "b"}


@pytest.mark.fact("known-id-replaces")
def test_a_known_id_replaces_that_deal_whole(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a", "companyCity": "Oslo"}, {"id": "b"})
    ended = platform.upload(collection, {"id": "a", "name": "renamed", "companyCity": ""})
    assert ended.status == "completed", describe(ended)
    held = platform.held(collection)
    assert held.keys() == {"a", "b"}
    assert (held["a"]["name"], held["a"]["companyCity"]) == ("renamed", "")


@pytest.mark.fact("in-order")
def test_of_two_uploads_that_are_sent_at_once_the_later_one_wins(platform: Platform, collection: str) -> None:
    sent = [platform.post(collection, platform.csv({"id": "a", "name": name})).json()["id"] for name in ("earlier", "later")]
    assert [platform.ended(collection, request).status for request in sent] == ["completed", "completed"]
    assert platform.held(collection)["a"]["name"] == "later"


@pytest.mark.fact("repeat-harmless")
def test_the_same_file_twice_changes_nothing(platform: Platform, collection: str) -> None:
    deals = [{"id": "a"}, {"id": "b"}]
    platform.upload(collection, *deals)
    before = platform.held(collection)
    assert platform.upload(collection, *deals).status == "completed"
    assert platform.held(collection) == before


@pytest.mark.fact("rejected-whole")
def test_a_wrong_row_lets_no_row_in(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a"})
    ended = platform.upload(collection, {"id": "b"}, WRONG)
    assert ended.status == "error"
    assert platform.held(collection).keys() == {"a"}


@pytest.mark.fact("validation-errors")
def test_a_refusal_is_panderas_report(platform: Platform, collection: str) -> None:
    ended = platform.upload(collection, WRONG)
    assert (ended.status, ended.message) == ("error", "Validation failed")
    assert isinstance(ended.validation_errors, list)
    assert {"status", "lastUpdateDatetime"} <= set(columns(ended))
    assert "SERIES_CONTAINS_NULLS" in str(ended.validation_errors)


@pytest.mark.fact("override")
def test_an_override_replaces_all_deals(platform: Platform, collection: str) -> None:
    assert platform.upload(collection, {"id": "a"}, {"id": "b"}, mode="override").status == "completed"
    assert platform.upload(collection, {"id": "c"}, mode="override").status == "completed"
    assert platform.held(collection).keys() == {"c"}


@pytest.mark.fact("override-rejected")
def test_a_rejected_override_changes_nothing(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a"})
    assert platform.upload(collection, {"id": "b"}, WRONG, mode="override").status == "error"
    assert platform.held(collection).keys() == {"a"}


@pytest.mark.fact("override-status")
def test_an_override_is_followed_at_its_own_path(platform: Platform, collection: str) -> None:
    request = platform.send(collection, platform.csv({"id": "a"}), mode="override")
    assert platform.ended(collection, request, mode="override").id == request


@pytest.mark.fact("either-word")
@pytest.mark.parametrize("mode", ["append", "override"])
def test_an_accepted_request_has_a_name(platform: Platform, collection: str, mode: str) -> None:
    body = platform.post(collection, platform.csv({"id": "a"}), mode=mode).json()
    assert body.get("id") or body.get("requestId")


@pytest.mark.fact("part-type")
def test_the_file_s_part_may_have_curl_s_type(platform: Platform, collection: str) -> None:
    """The specification's own line names none, and curl fills in this one."""
    path = f"/api/collection/{collection}/data/deals/append"
    form = {"file": ("deals.csv", platform.csv({"id": "a"}), "application/octet-stream")}
    answer = platform.http.post(path, files=form, data={"separator": ","})
    assert answer.status_code == 202, answer.text
    ended = platform.ended(collection, UploadRequest.model_validate_json(answer.content).id)
    assert ended.status == "completed", describe(ended)


@pytest.mark.fact("delete")
def test_a_delete_takes_the_named_deals_alone(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a"}, {"id": "b"}, {"id": "c"})
    assert platform.deleted(collection, ids=["a", "c"]).status == "completed"
    assert platform.held(collection).keys() == {"b"}


@pytest.mark.fact("delete-without-ids")
def test_a_delete_without_ids_empties_the_collection(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a"}, {"id": "b"})
    assert platform.deleted(collection).status == "completed"
    assert platform.held(collection) == {}


@pytest.mark.fact("delete-status")
def test_a_delete_is_followed_at_its_own_path(platform: Platform, collection: str) -> None:
    request = platform.client.delete_deals(collection, ["a"]).id
    assert platform.ended(collection, request, mode="delete").id == request


@pytest.mark.fact("delete-unknown")
def test_a_delete_lets_unknown_ids_be(platform: Platform, collection: str) -> None:
    platform.upload(collection, {"id": "a"})
    assert platform.deleted(collection, ids=["nobody"]).status == "completed"
    assert platform.held(collection).keys() == {"a"}


@pytest.mark.fact("dump")
def test_a_dump_gives_back_what_was_sent(platform: Platform, collection: str) -> None:
    sent = {"id": "a", "name": 'a, "b"', "description": "two\nlines", "companyCity": "Ærø 東京", "companyTechnologies": "AI;Web"}
    platform.upload(collection, sent)
    held = platform.held(collection)["a"]
    assert set(COLUMN_NAMES) <= held.keys()
    assert {name: held[name] for name in sent} == sent
