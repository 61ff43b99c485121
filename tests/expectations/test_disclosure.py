"""What is told of a cell: its form, and the names that are about nobody."""

from __future__ import annotations

import pytest

from expectations.disclosure import SHOWN, name_or_shape, shape


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("31/12/2024", "99/99/9999"),
        ("Won", "Aaa"),
        ("x" * SHOWN, "a" * SHOWN),
        ("x" * (SHOWN + 1), "a" * SHOWN + "..."),
    ],
)
def test_a_form_ends_in_dots_only_where_something_is_left_out(text: str, form: str) -> None:
    assert shape(text) == form


@pytest.mark.parametrize("name", ["Closed Won", "EUR", "Deal Stage (2)", "é" * SHOWN, "Q3 100"])
def test_a_name_is_told(name: str) -> None:
    assert name_or_shape(name) == name


@pytest.mark.parametrize("text", ["a@b", "x" * (SHOWN + 1), "https://x", "call 555 0123", "1234", "two\nlines"])
def test_what_could_be_about_a_person_is_told_by_its_length(text: str) -> None:
    assert name_or_shape(text) == f"(a text of {len(text)} characters)"
