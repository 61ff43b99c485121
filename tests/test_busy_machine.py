"""No test is red because a machine is busy: none bounds the time of what works, and no request of the suite gives up before a hang."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*.py"))}

REQUESTS = {f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "request", "stream", "Client", "AsyncClient")}
"""Each has a timeout of five seconds of its own."""

UPPER_BOUND = re.compile(r"(monotonic|perf_counter)\(\) - .* <")


def test_no_request_gives_up_by_httpxs_own_timeout() -> None:
    calls = [(path, node) for path, text in SOURCES.items() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    offenders = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path, node in calls
        if ast.unparse(node.func) in REQUESTS and not any(keyword.arg == "timeout" for keyword in node.keywords)
    ]
    assert not offenders, "say timeout=HANG"
    assert sum(ast.unparse(node.func) in REQUESTS for _, node in calls) > 20, "the search finds them"


def test_no_assertion_bounds_the_time_that_something_took() -> None:
    places = [
        path for path, text in SOURCES.items() if UPPER_BOUND.search(text) and "benchmarks" not in path.parts and path != Path(__file__)
    ]
    assert not places
