"""A platform's own document beside what dealcast assumes: needs no platform."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox import create_app
from tests.conformance.openapi import NotOpenAPI, compare, read, table

ROOT = Path(__file__).resolve().parents[2]
APPEND, LIST = "/api/collection/{collection_id}/data/deals/append", "/api/collection"
UPLOADS = [f"GET /api/collection/{{}}/data/deals/{mode}/{{}}" for mode in ("append", "override", "delete")]
SENDS = [
    f"{word} /api/collection/{{}}/data/deals/{mode}" for word, mode in (("POST", "append"), ("POST", "override"), ("DELETE", "delete"))
]


def own() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(create_app().openapi()))
    return document


def without_override(document: dict[str, Any]) -> None:
    del document["paths"][APPEND.replace("append", "override")]


def renamed_id(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["UploadRequest"]["properties"]
    fields["identifier"] = fields.pop("id")


def other_words(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["UploadRequest"]["properties"]["status"]["enum"].remove("completed")
    document["paths"][LIST]["get"]["parameters"].append({"name": "tenant", "in": "query", "required": True})


ALTERED: list[tuple[Callable[[dict[str, Any]], None], set[str]]] = [
    (without_override, {SENDS[1]}),
    (renamed_id, {f"{route}: answer's id|requestId" for route in SENDS + UPLOADS}),
    (other_words, {f"GET {LIST}: parameters", *(f"{route}: answer's status" for route in UPLOADS)}),
]


def test_the_document_has_what_dealcast_assumes(pytestconfig: pytest.Config, record_property: Callable[[str, str], None]) -> None:
    """The one of `--openapi`, or else the sandbox's own, of which nothing may be unknown either."""
    place = pytestconfig.getoption("--openapi", None)
    unreadable, rows = "", []
    try:
        rows = compare(read(place) if place else own())
    except NotOpenAPI as error:
        unreadable = str(error)
    if unreadable:  # outside the handler, so that the sentence is said once
        pytest.fail(unreadable, pytrace=False)
    if place:
        record_property("openapi", table(rows))
    wrong = [row for row in rows if row.verdict == "differs" or (place is None and row.verdict == "unknown")]
    if wrong:
        pytest.fail(table(wrong), pytrace=False)
    assert rows


@pytest.mark.parametrize(("alter", "differ"), ALTERED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_altered_differs_and_nothing_else(alter: Callable[[dict[str, Any]], None], differ: set[str]) -> None:
    document = own()
    alter(document)
    rows = compare(document)
    assert {row.what for row in rows if row.verdict == "differs"} == differ
    assert {row.verdict for row in rows if row.what not in differ} == {"agrees"}


def test_other_names_of_parameters_and_a_base_path_are_the_same() -> None:
    document = own()
    document["paths"] = {
        path.removeprefix("/api").replace("{collection_id}", "{cid}").replace("deals", "{type}"): item
        for path, item in document["paths"].items()
    }
    document["servers"] = [{"url": "https://host.example/{stage}/api", "variables": {"stage": {"default": "v2"}}}]
    rows = compare(document)
    assert {row.what for row in rows if row.verdict == "unknown"} == {
        row.what for row in rows if "/deals/" in row.what and ": " not in row.what
    }, table(rows)
    assert not [row for row in rows if row.verdict == "differs"]
    assert "/v2 belongs in DEALCAST_PLATFORM_URL" in rows[1].detail


def test_what_a_document_leaves_open_is_unknown() -> None:
    document = {"openapi": "3.0.3", "paths": {path: {key: {} for key in item} for path, item in own()["paths"].items()}}
    assert {row.verdict for row in compare(document)} == {"agrees", "unknown"}


@pytest.mark.parametrize(
    "text",
    [
        '{"openapi": "3.1.0", "paths": {"/api/collection": {"get": {"parameters": [{"name": {}, "in": []}]}}}}',
        "[]",
        "{}",
        "openapi: 3.1.0",
        '{"swagger": "2.0", "paths": {}}',
        "<html>: [",
        "\t",
    ],
)
def test_what_is_no_openapi_ends_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "document").write_text(text, encoding="utf-8")
    with pytest.raises(NotOpenAPI, match=r"\AThis is [^\n]*\.\Z|\A[^\n]* is no OpenAPI document: [^\n]*\.\Z"):
        compare(read(str(tmp_path / "document")))


def test_the_option_prints_the_table_and_fails_where_something_differs(tmp_path: Path) -> None:
    document = own()
    renamed_id(document)
    (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/conformance", "--openapi", str(tmp_path / "openapi.json")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert table(compare(document)) in run.stdout
    assert "1 failed" in run.stdout
    assert "passed" not in run.stdout
