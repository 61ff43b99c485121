"""Appends, overrides, deletes and dumps over HTTP."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from deployments.sandbox import Sandbox, running
from deployments.sandbox.platform.deals_rules import COLUMNS
from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.deployments.sandbox.conftest import Client

DealsCsv = Callable[..., bytes]

FIELDS = ["id", "collectionId", "dataType", "separator", "dumpDatetime", "status", "message", "validationErrors"]


def test_an_append_is_accepted_with_the_documented_body(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    path = f"/api/collection/{collection}/data/deals/append"
    answer = api.post(path, files={"file": ("deals.csv", deals_csv({}), "text/csv")}, data={"separator": ","})
    assert answer.status_code == 202
    accepted = answer.json()
    assert list(accepted) == FIELDS
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", accepted["dumpDatetime"])
    expected = {
        "collectionId": collection,
        "dataType": "deals",
        "separator": ",",
        "status": "queued",
        "message": None,
        "validationErrors": None,
    }
    assert {name: accepted[name] for name in expected} == expected
    ended = api.settled(f"{path}/{accepted['id']}")
    assert ended == accepted | {"status": "completed"}


def test_a_request_is_queued_then_in_progress_then_completed(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv) -> None:
    sandbox.control("PUT", "speed", {"queued_seconds": 3600, "processing_seconds": 3600})
    path = api.upload(collection, deals_csv({}))
    assert api.get(path).json()["status"] == "queued"
    sandbox.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 3600})
    wait_for(lambda: api.get(path).json()["status"] == "in_progress", "the processing")
    assert api.dump(collection) == deals_csv()
    sandbox.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 0})
    assert api.settled(path)["status"] == "completed"
    assert api.dump(collection) == deals_csv({})


def test_speed_changes_for_requests_under_way(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv) -> None:
    sandbox.control("PUT", "speed", {"queued_seconds": 3600, "processing_seconds": 3600})
    path = api.upload(collection, deals_csv({}))
    assert api.get(path).json()["status"] == "queued"
    sandbox.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 0})
    assert api.settled(path)["status"] == "completed"


def test_strict_datetimes_are_switched_on_until_a_reset(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv) -> None:
    content = deals_csv({"lastSyncedAt": "2024-05-01T08:00:00.5+02:00"})
    assert api.append(collection, content)["status"] == "completed"
    assert b"2024-05-01T08:00:00.5+02:00" in api.dump(collection)
    assert sandbox.control("PUT", "rules", {"strict_datetimes": True}) == sandbox.control("GET", "rules")
    assert api.append(collection, content)["message"] == "Validation failed"
    sandbox.control("POST", "reset")
    assert sandbox.control("GET", "rules") == {"strict_datetimes": False}


def test_a_rejected_file_changes_nothing(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    api.append(collection, deals_csv({}))
    for operation in ("append", "override"):
        ended = api.append(collection, deals_csv({"id": "2"}, {"id": "3", "value": "-1"}), operation=operation)
        assert (ended["status"], ended["message"]) == ("error", "Validation failed")
        assert ended["validationErrors"][0]["DATA"]["DATAFRAME_CHECK"][0]["column"] == "value"
    assert api.dump(collection) == deals_csv({})


def test_an_unreadable_file_ends_in_error_with_a_message(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    ended = api.append(collection, deals_csv({}), separator=";")
    assert ended["status"] == "error"
    assert "separator" in ended["message"]
    assert ended["validationErrors"] is None


def test_a_known_id_replaces_that_deal_in_its_place(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    api.append(collection, deals_csv({"id": "a"}, {"id": "b"}, {"id": "c"}))
    api.append(collection, deals_csv({"id": "d"}, {"id": "b", "name": "renamed", "companyCity": ""}))
    assert api.dump(collection) == deals_csv({"id": "a"}, {"id": "b", "name": "renamed"}, {"id": "c"}, {"id": "d"})


def test_ids_are_compared_exactly(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    deals = [{"id": text} for text in ("a", "A", "a ", "1", "01", "1.0", "é", "e\u0301")]
    api.append(collection, deals_csv(*deals))
    api.append(collection, deals_csv(*deals))
    assert api.dump(collection) == deals_csv(*deals)


def test_override_replaces_everything(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    assert api.append(collection, deals_csv({"id": "a"}), operation="override")["status"] == "completed"
    api.append(collection, deals_csv({"id": "c"}, {"id": "a"}), operation="override")
    assert api.dump(collection) == deals_csv({"id": "c"}, {"id": "a"})


def test_a_delete_takes_the_named_deals_alone(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    """Ids that are not held are let be, also in an empty collection."""
    assert api.delete_deals(collection, ids=["b"])["status"] == "completed"
    api.append(collection, deals_csv({"id": "a"}, {"id": "b"}, {"id": "c"}))
    ended = api.delete_deals(collection, ids=["b", "nobody", "c"])
    assert list(ended) == FIELDS
    assert (ended["status"], ended["separator"], ended["dataType"]) == ("completed", None, "deals")
    assert api.dump(collection) == deals_csv({"id": "a"})
    api.append(collection, deals_csv({"id": "b"}))
    assert api.dump(collection) == deals_csv({"id": "a"}, {"id": "b"})


@pytest.mark.parametrize("args", [{}, {"ids": None}, {"ids": []}])
def test_a_delete_without_ids_empties_the_collection(api: Client, collection: str, deals_csv: DealsCsv, args: dict[str, object]) -> None:
    """The trap that the documentation names, kept so that a client can be caught in it."""
    api.append(collection, deals_csv({}))
    api.delete_deals(collection, **args)
    assert api.dump(collection) == deals_csv()
    assert api.settled(api.invoke(collection))["status"] == "error"


def test_a_delete_waits_for_the_uploads_before_it(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv) -> None:
    """One at a time in the order of acceptance: else it would delete what is not there yet."""
    sandbox.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 0.1})
    path = api.upload(collection, deals_csv({"id": "a"}, {"id": "b"}))
    api.delete_deals(collection, ids=["a"])
    assert api.get(path).json()["status"] == "completed"
    assert api.dump(collection) == deals_csv({"id": "b"})


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 415),
        ({"content": b"ids=a", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 415),
        ({"json": {"ids": ["a"]}}, 422),
        ({"json": {"args": {"ids": "a"}}}, 422),
        ({"json": {"args": {"ids": [1]}}}, 422),
        ({"json": {"args": {"id": ["a"]}}}, 422),
    ],
)
def test_a_wrong_delete_is_refused(api: Client, collection: str, deals_csv: DealsCsv, fields: dict[str, object], status: int) -> None:
    api.append(collection, deals_csv({}))
    answer = api.request("DELETE", f"/api/collection/{collection}/data/deals/delete", **fields)  # type: ignore[arg-type] # as httpx takes them
    assert answer.status_code == status, answer.text
    assert api.dump(collection) == deals_csv({})


@pytest.mark.parametrize("kind", ["text/csv", "application/octet-stream", "application/vnd.ms-excel", "", None])
def test_the_file_s_part_may_have_any_type(api: Client, collection: str, deals_csv: DealsCsv, kind: str | None) -> None:
    """S: the specification's own line names none, and a browser on Windows says Excel's."""
    line = b"" if kind is None else f"Content-Type: {kind}\r\n".encode()
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="deals.csv"\r\n' + line + b"\r\n" + deals_csv({})
    form += b'\r\n--x\r\nContent-Disposition: form-data; name="separator"\r\n\r\n,\r\n--x--\r\n'
    path = f"/api/collection/{collection}/data/deals/append"
    answer = api.post(path, content=form, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 202, answer.text
    assert api.settled(f"{path}/{answer.json()['id']}")["status"] == "completed"


def test_what_is_dumped_is_what_was_sent(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    texts = [
        ",",
        '"',
        '""',
        "a\nb",
        "a\r\nb",
        "\r",
        " x ",
        "'",
        "\\",
        "\t",
        "nil",
        "0",
        "é漢🙂",
        "\u2028",
        "\x01",
        "=1+1",
        "\x1a",
        "#",
    ]
    deals = [{"id": str(number), "name": text, "stage": text, "description": text * 2} for number, text in enumerate(texts)]
    sent = deals_csv(*deals, quoting=csv.QUOTE_ALL)
    assert api.append(collection, sent)["status"] == "completed"
    assert cells(api.dump(collection)) == cells(sent)


def cells(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("separator", [";", "\t", "|", "§"])
def test_separators_quotes_marks_and_orders_make_no_difference(api: Client, collection: str, deals_csv: DealsCsv, separator: str) -> None:
    deal = {"name": f"a{separator}b", "description": 'say "hi"\nand, bye'}
    shuffled = ("extra", *reversed(COLUMNS))
    api.append(collection, b"\xef\xbb\xbf" + deals_csv(deal, separator=separator, columns=shuffled, line_end="\r\n"), separator)
    assert api.dump(collection) == deals_csv(deal)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"files": {"file": ("deals.csv", b"x", "text/csv")}}, 422),
        ({"files": {"file": ("deals.csv", b"x", "text/csv")}, "data": {"separator": ""}}, 422),
        ({"files": {"file": ("deals.csv", b"x", "text/csv")}, "data": {"separator": ",,"}}, 422),
        ({"files": {"file": ("deals.csv", b"x", "text/csv")}, "data": {"separator": '"'}}, 422),
        ({"files": {"file": ("deals.csv", b"x", "text/csv")}, "data": {"separator": "\n"}}, 422),
        ({"files": {"other": ("deals.csv", b"x", "text/csv")}, "data": {"separator": ","}}, 422),
        ({"files": {"file": (None, b"x", "text/csv")}, "data": {"separator": ","}}, 422),
        ({"data": {"separator": ","}}, 415),
        ({"json": {"separator": ","}}, 415),
        ({"content": b"no form", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"no form", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"--x--", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
    ],
)
@pytest.mark.parametrize("operation", ["append", "override"])
def test_a_wrong_form_is_refused(sandbox: Sandbox, api: Client, operation: str, fields: dict[str, object], status: int) -> None:
    answer = api.request("POST", f"/api/collection/{api.new_collection()}/data/deals/{operation}", **fields)  # type: ignore[arg-type] # as httpx takes them
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert sandbox.control("GET", "uploads") == []


@pytest.mark.parametrize("path", ["data/leads/append", "data/companies/dump", "data/deals/insert"])
def test_other_data_types_and_operations_are_unknown(api: Client, collection: str, path: str) -> None:
    assert api.get(f"/api/collection/{collection}/{path}").status_code == 404
    assert api.post(f"/api/collection/{collection}/{path}").status_code == 404


def test_unknown_collections_and_requests_are_named(api: Client, collection: str, deals_csv: DealsCsv) -> None:
    elsewhere = api.upload(api.new_collection(), deals_csv({})).rsplit("/", 1)[1]
    for path in ("nowhere/data/deals/append/1", f"{collection}/data/deals/append/1", f"{collection}/data/deals/append/{elsewhere}"):
        answer = api.get(f"/api/collection/{path}")
        assert answer.status_code == 404
        unknown = "nowhere" if path.startswith("nowhere") else path.rsplit("/", 1)[1]
        assert re.match(rf"There is no .*'{unknown}'", answer.json()["detail"])
    path = api.upload(collection, deals_csv({}))
    assert api.get(path.replace("append", "override")).status_code == 404


def test_a_body_beyond_the_limit_is_refused_whole(client: Callable[..., Client], deals_csv: DealsCsv) -> None:
    with running(max_upload_bytes=20_000, queued_seconds=0, processing_seconds=0) as sandbox, client(sandbox) as api:
        collection = api.new_collection()
        path = f"/api/collection/{collection}/data/deals/append"
        large = {"files": {"file": ("deals.csv", deals_csv({"name": "x" * 20_000}), "text/csv")}, "data": {"separator": ","}}
        declared = api.post(path, **large)  # type: ignore[arg-type] # as httpx takes them
        request = api.build_request("POST", path, **large)  # type: ignore[arg-type] # as httpx takes them

        def in_pieces() -> Iterator[bytes]:
            yield request.read()[:10_000]
            yield request.read()[10_000:]

        undeclared = api.post(path, content=in_pieces(), headers={"Content-Type": request.headers["Content-Type"]})
        assert (declared.status_code, undeclared.status_code) == (413, 413)
        assert "20000" in declared.json()["detail"]
        assert api.append(collection, deals_csv({}))["status"] == "completed"
