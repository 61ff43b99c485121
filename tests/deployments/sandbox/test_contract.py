"""The OpenAPI document describes exactly what the product's routes do: schemathesis compares the two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from deployments.sandbox import running
from tests.conftest import HANG

FULL = os.environ.get("DEALCAST_FUZZ") == "full"
EXAMPLES = 100 if FULL else 5
LEAST_CASES = 2000 if FULL else 120

PRODUCT_ROUTES = {
    "/api/collection": {"get", "post"},
    "/api/collection/{collection_id}/data/deals/append": {"post"},
    "/api/collection/{collection_id}/data/deals/append/{request_id}": {"get"},
    "/api/collection/{collection_id}/data/deals/override": {"post"},
    "/api/collection/{collection_id}/data/deals/override/{request_id}": {"get"},
    "/api/collection/{collection_id}/data/deals/delete": {"delete"},
    "/api/collection/{collection_id}/data/deals/delete/{request_id}": {"get"},
    "/api/collection/{collection_id}/data/deals/dump": {"get"},
    "/api/invocation": {"post"},
    "/api/invocation/{invocation_id}": {"get"},
    "/api/invocation/{invocation_id}/json": {"get"},
    "/api/invocation/{invocation_id}/csv": {"get"},
    "/api/invocation/{invocation_id}/xlsx": {"get"},
}


def test_the_document_lists_the_product_s_routes_and_no_others() -> None:
    with running() as sandbox:
        paths = httpx.get(f"{sandbox.url}/openapi.json", trust_env=False, timeout=HANG).json()["paths"]
    assert {path: set(methods) for path, methods in paths.items()} == PRODUCT_ROUTES


@pytest.mark.timeout(3600 if FULL else 900)
def test_every_answer_is_a_documented_one(tmp_path: Path) -> None:
    """All of schemathesis's checks but one: a collection whose deals are deleted can be asked for them all the same."""
    with running(queued_seconds=0, processing_seconds=0) as sandbox:
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{sandbox.url}/openapi.json"]
        options = ["--header", f"Authorization: Token {sandbox.token}", "--exclude-checks", "use_after_free", "--no-color"]
        # One worker: Python 3.11 counts the depth of a parse over all threads, and Hypothesis parses in each of them
        # ("AST constructor recursion depth mismatch").
        options += ["--max-examples", str(EXAMPLES), "--seed", "1", "--workers", "1"]
        run = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-8000:]
    cases = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert cases is not None, run.stdout[-8000:]
    assert int(cases[1]) == int(cases[2]) >= LEAST_CASES
