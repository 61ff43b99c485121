"""No test is red because a machine is busy: none bounds the time of what works, and no request of the suite gives up before a hang."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*.py"))}

REQUESTS = {f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "request", "stream", "Client", "AsyncClient")}
"""Each has a timeout of five seconds of its own."""

CLOCKS = {"monotonic", "perf_counter", "monotonic_ns", "perf_counter_ns"}


def test_no_call_of_httpx_gives_up_by_its_own_timeout() -> None:
    imported = [path for path, text in SOURCES.items() if re.search(r"^\s*(from httpx import|import httpx as)", text, re.MULTILINE)]
    assert not imported, "the search goes by the module's name"
    calls = [(path, node) for path, text in SOURCES.items() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    offenders = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path, node in calls
        if ast.unparse(node.func) in REQUESTS and not any(keyword.arg == "timeout" for keyword in node.keywords)
    ]
    assert not offenders, "say timeout=HANG"
    assert sum(ast.unparse(node.func) in REQUESTS for _, node in calls) > 20, "the search finds them"


@pytest.mark.parametrize("clock", sorted(CLOCKS))
@pytest.mark.parametrize(
    ("assertion", "bounds"),
    [
        ("assert time.{}() - begun < 5", True),
        ("assert 5 >= {}() - begun", True),
        ("took = time.{}() - begun\nassert took <= 5, took", True),
        ("seconds = round({}() - begun)\nassert found and 0 < seconds < 5", True),
        ("assert time.{}() - begun >= 0.3", False),
        ("took = {}() - begun\nassert took > 1", False),
        ("assert {}() < end", False),
    ],
)
def test_a_bound_of_what_something_took_is_told_from_an_end_of_waiting(clock: str, assertion: str, bounds: bool) -> None:
    assert bool(_upper_bounds(ast.parse(assertion.format(clock)))) == bounds


def test_no_assertion_bounds_the_time_that_something_took() -> None:
    places = [f"{path.relative_to(TESTS)}:{line}" for path, text in SOURCES.items() for line in _upper_bounds(ast.parse(text))]
    assert not places


def _upper_bounds(tree: ast.Module) -> list[int]:
    """Lines of assertions that a difference of two times, or a name for one, is below something."""
    nodes = list(ast.walk(tree))
    durations = [node.targets for node in nodes if isinstance(node, ast.Assign) and _is_duration(node.value, set())]
    names = {ast.unparse(target) for targets in durations for target in targets}
    compares = [inner for node in nodes if isinstance(node, ast.Assert) for inner in ast.walk(node.test) if isinstance(inner, ast.Compare)]
    return [compare.lineno for compare in compares if any(_is_duration(lesser, names) for lesser in _lesser_sides(compare))]


def _lesser_sides(compare: ast.Compare) -> Iterator[ast.expr]:
    sides = [compare.left, *compare.comparators]
    for left, operator, right in zip(sides, compare.ops, sides[1:], strict=False):
        if isinstance(operator, ast.Lt | ast.LtE):
            yield left
        elif isinstance(operator, ast.Gt | ast.GtE):
            yield right


def _is_duration(side: ast.expr, names: set[str]) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in names)
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and any(f"{clock}()" in ast.unparse(node) for clock in CLOCKS))
        for node in ast.walk(side)
    )
