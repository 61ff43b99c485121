"""The error tree: drawn as it is, each exit code as documented, each leaf transient or terminal where it counts."""

from __future__ import annotations

import inspect
import re

import pytest

from deployments.command_line.exit_codes import DIFFERS, EXIT_CODES, of_signal
from flows import errors
from flows.errors import DealcastError, PlatformRefused, PlatformUnavailable, Terminal, Transient

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, DealcastError)]
DRAWN = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +\((?P<mark>\w+)\))?(?: +(?:exit )?(?P<code>\d))?", re.MULTILINE)


def drawing() -> dict[str, tuple[str | None, str | None, str | None]]:
    """The tree of the module's docstring: name -> (parent, marker, exit code)."""
    assert errors.__doc__
    parents: list[str] = []
    drawn = {}
    for line in DRAWN.finditer(errors.__doc__.split("::")[1]):
        depth = len(line["indent"]) // 4
        parents[depth:] = [line["name"]]
        drawn[line["name"]] = (parents[depth - 1] if depth else None, line["mark"], line["code"])
    return drawn


def test_the_drawing_has_every_error_and_no_other() -> None:
    assert set(drawing()) == {kind.__name__ for kind in TREE}


@pytest.mark.parametrize("kind", TREE)
def test_an_error_is_drawn_where_it_is(kind: type[DealcastError]) -> None:
    parent, mark, code = drawing()[kind.__name__]
    if kind is not DealcastError:
        assert parent == next(base for base in kind.__bases__ if issubclass(base, DealcastError)).__name__
    marks = {marker.__name__ for marker in (Transient, Terminal) if marker in kind.__bases__}
    assert marks == ({mark} if mark else set())
    if code is not None:
        assert kind.exit_code == int(code)
    elif parent is not None:
        assert kind.exit_code == getattr(errors, parent).exit_code


@pytest.mark.parametrize("kind", TREE)
def test_an_error_says_in_its_docstring_when_it_comes(kind: type[DealcastError]) -> None:
    assert kind.__doc__
    assert not (issubclass(kind, Transient) and issubclass(kind, Terminal))


@pytest.mark.parametrize("kind", [kind for kind in TREE if issubclass(kind, PlatformRefused | PlatformUnavailable)])
def test_what_the_platform_causes_is_transient_or_terminal(kind: type[DealcastError]) -> None:
    """The retry condition asks for nothing else, so a leaf that is neither would never be tried again by accident."""
    leaf = not any(kind in other.__bases__ for other in TREE)
    if leaf and kind is not errors.CollectionBusy:
        assert issubclass(kind, Transient | Terminal)


def test_the_exit_codes_are_the_documented_ones() -> None:
    documented = {code for code in EXIT_CODES if code < of_signal(0)}
    assert {kind.exit_code for kind in TREE} | {0, DIFFERS} == documented == set(range(10))
