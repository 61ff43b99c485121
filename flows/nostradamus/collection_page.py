"""A page of the list of collections, whatever its shape: only that it is paginated is documented (D)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
from pydantic import ValidationError

from flows.errors import UnexpectedAnswer
from flows.nostradamus.models import Collection
from flows.nostradamus.retryable_answers import quote

PAGE_KEYS = ("results", "items", "collections", "data")
"""The keys under which the list is looked for first (A); then under any key."""

_LONGEST_PAGE = 100_000
"""Collections of a page, which are a thousand times what it is asked for."""

_DEEPEST = 3
"""Objects around the list that are looked into."""


def page_of(response: httpx.Response) -> tuple[list[Collection], dict[str, Any] | None]:
    """The collections of a page, and the parameters of the next: empty where it names none, None where it says that there is none.

    Raises:
        UnexpectedAnswer: it has no list of objects with an id.
    """
    try:
        body = response.json()
        found = next(_lists(body))
        if len(found) > _LONGEST_PAGE:
            raise UnexpectedAnswer(
                f"GET /api/collection answered a page of {len(found):,} collections, and no setting takes more than {_LONGEST_PAGE:,}. "
                "A sync needs of them the collection's timezone alone: --timezone ZONE gives that, and they are not asked for."
            )
        return [Collection.model_validate(entry) for entry in found], _following(body)
    except (ValueError, StopIteration, ValidationError, RecursionError) as error:
        raise UnexpectedAnswer(
            f"GET /api/collection answered a body with no list of collections that have an id: {quote(response)}. "
            "Is DEALCAST_PLATFORM_URL the platform, and does nothing between, such as a proxy or a login page, answer in its place? "
            "A list that has the collection's id anywhere is enough where --timezone ZONE is given."
        ) from error


def mentions(response: httpx.Response, collection_id: str) -> bool:
    """True if the body is JSON, of any shape, that has the id as a text or key of its own."""
    try:
        left = [response.json()]
    except (ValueError, RecursionError):
        return False
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
        elif str(one) == collection_id:
            return True
    return False


def _lists(body: Any) -> Iterator[list[Any]]:
    """The lists that can be the collections, the likeliest first: under a known key, then with entries, then empty."""
    found = [(known, entries) for known, entries in _all_lists(body, _DEEPEST) if all(_has_id(entry) for entry in entries)]
    yield from (entries for _, entries in sorted(found, key=lambda each: (not each[0], not each[1])))


def _all_lists(body: Any, deep: int, *, known: bool = True) -> Iterator[tuple[bool, list[Any]]]:
    """Each list of the body, with whether it stands where it is expected."""
    if isinstance(body, list):
        yield known, body
    elif isinstance(body, dict) and deep:
        for key, value in body.items():
            yield from _all_lists(value, deep - 1, known=key in PAGE_KEYS)


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("id") not in (None, "")


def _following(body: Any) -> dict[str, Any] | None:
    """The page that ``next`` names (A): its URL's parameters alone are taken, so that the token goes nowhere else."""
    if not isinstance(body, dict) or "next" not in body:
        return {}
    if not body["next"]:
        return None
    try:
        return dict(httpx.URL(body["next"]).params) if isinstance(body["next"], str) else {}
    except httpx.InvalidURL:
        return {}
