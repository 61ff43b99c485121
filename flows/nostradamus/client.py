"""An httpx client for the platform: one method per endpoint, one translation of errors, no retry (Prefect retries)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote as quote_segment

import httpx
from pydantic import BaseModel, ValidationError

from flows.errors import NotFound, OutcomeUnknown, UnexpectedAnswer, UsageError
from flows.nostradamus.answer_limit import AnswerLimit
from flows.nostradamus.collection_page import mentions, page_of
from flows.nostradamus.models import Accepted, Collection, Invocation, RequestMode, ResultFormat, UploadMode, UploadRequest
from flows.nostradamus.retryable_answers import failure, quote, readable, refusal

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SANDBOX = "X-Dealcast-Sandbox"
"""The header of every answer of dealcast's sandbox, and of no platform's."""

_PAGE = 100
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_LONGEST_ANSWER = 60.0
"""Seconds after the request in which an answer has to be there whole, headers and body, dumps excepted; httpx limits each piece alone."""

_TRANSPORT_HEADERS = ("content-encoding", "content-length", "transfer-encoding")
"""Headers of how a body came, which are not true of it any more once it is unpacked."""

_LARGEST_ANSWER = 16 << 20
"""Bytes of an answer, unpacked, dumps excepted: thousands of times what any takes, and few enough to be held."""

_MOST_PAGES = 1000
"""Pages of collections that are asked for: a list may have no end."""

_ENCODINGS = ("gzip", "deflate", "identity", "")
"""Encodings of a body that are read; of the others, and of two in a row, a few bytes may unpack to gigabytes at once."""

_UPLOAD_SECONDS_PER_MB = 2.0
"""By how much a platform may take longer to answer a larger upload, which it may read whole before it does."""

_Answer = TypeVar("_Answer", bound=BaseModel)


class Nostradamus:
    """A connection to the platform (D, S); close it, or use it as a context manager.

    Args:
        url: base URL; `http://` is refused for hosts that are not loopback, unless ``allow_http``.
        token: sent as ``Authorization: Token <secret>`` (S), only ever to ``url``'s host: redirects are not followed.
        allow_http: send the token in clear to any host.
        upload_timeout: seconds that the platform may take to answer an upload, besides two for each MB of it.
        largest_dump: bytes that a collection's dump may have.

    ``sandbox`` is whether the last answer was dealcast's sandbox's, None before the first.

    Every method raises :class:`NotAuthorized`, :class:`NotFound`, :class:`PlatformRefused` or :class:`UnexpectedAnswer`
    for an answer that says no, :class:`PlatformBusy` for one that asks to come back, :class:`PlatformUnreachable` where
    repeating is safe, and what changes something :class:`OutcomeUnknown` where the request went out and no answer came.
    """

    def __init__(
        self, url: str, token: str, *, allow_http: bool = False, upload_timeout: float = 300.0, largest_dump: int = 4 << 30
    ) -> None:
        """Check the URL and open the connection pool; nothing is sent yet."""
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"DEALCAST_PLATFORM_URL is {url!r}: {error}.") from error
        if base.scheme not in ("http", "https") or not base.host:
            raise UsageError(f"DEALCAST_PLATFORM_URL is {url!r}: it must be a URL such as https://nostradamus.u-hopper.com")
        if base.userinfo or base.query or base.fragment:
            raise UsageError(
                "DEALCAST_PLATFORM_URL has a user, query or fragment: give the bare URL. The token in DEALCAST_TOKEN is all that is sent."
            )
        if base.scheme == "http" and base.host not in LOOPBACK and not allow_http:
            raise UsageError(
                f"DEALCAST_PLATFORM_URL is {url!r}, which would send the token in clear: use https://, or set DEALCAST_ALLOW_HTTP=true."
            )
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError(
                "DEALCAST_TOKEN is not set, or holds characters that no token has, such as a blank or a line break: "
                "export the platform's API token under that name."
            )
        self._upload_timeout, self._largest_dump, self._answer_limit = upload_timeout, largest_dump, AnswerLimit()
        self._http = httpx.Client(
            base_url=base,
            headers={"Authorization": f"Token {token}", "Accept-Encoding": "gzip"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            verify=_tls(),
            trust_env=base.scheme == "https",
            event_hooks={"response": [self._note_sandbox]},
        )
        self.sandbox: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_collection(self, name: str, timezone: str) -> Collection:
        """Create an empty collection whose naive datetimes are read in ``timezone``, an IANA name (A)."""
        body = {"name": name, "product": "SalesForecasting", "timezone": timezone, "tag": {}, "properties": {}}
        return _parse(Collection, self._send("POST", "/api/collection", json=body, expect=(200, 201)))

    def collections(self) -> Iterator[Collection]:
        """All collections of the token's organisation, page by page (D: a limit and an offset).

        A page without a ``next`` where it could name one is the last (A), and so is one that brings nothing new. A page shorter than the
        limit need not be, since a platform may cap it.
        """
        seen: set[str] = set()
        pages = size = 0
        following: dict[str, Any] | None = {}
        while following is not None:
            response = self._get("/api/collection", params=following or {"limit": _PAGE, "offset": len(seen)})
            pages, size = pages + 1, size + len(response.content)
            if pages > _MOST_PAGES or size > _LARGEST_ANSWER:
                raise UnexpectedAnswer(
                    f"GET /api/collection has more than {_MOST_PAGES:,} pages or {_LARGEST_ANSWER >> 20} MiB, and no setting raises that."
                    " Give the collection by its id, which is looked for no further than where it stands."
                )
            page, following = page_of(response)
            new = [collection for collection in page if collection.id not in seen]
            if not new:
                return
            yield from new
            seen.update(collection.id for collection in new)

    def collection(self, named: str) -> Collection:
        """The listed collection of this id, or else of this name.

        Raises:
            NotFound: the token's organisation has none; the message names those that it has.
            UsageError: several have the name; the message has their ids.
        """
        held: dict[str, Collection] = {}
        for found in self.collections():
            if found.id == named:
                return found
            held[found.id] = found
        same = [found for found in held.values() if found.name == named]
        if len(same) > 1:
            ids = ", ".join(f"{found.id} ({found.timezone or 'no timezone'})" for found in same[:10])
            raise UsageError(f"{len(same)} collections are named {named!r}; nothing was sent. Give the id of the one that is meant: {ids}.")
        if same:
            return same[0]
        yours = ", ".join(f"{found.id} ({found.name})" for found in [*held.values()][:10]) or "none"
        raise NotFound(
            f"The platform knows no collection {named!r} for this token; nothing was sent. It has: {yours}. "
            "Create one with `dealcast collections create NAME --timezone ZONE`."
        )

    def mentions(self, collection_id: str) -> bool:
        """True if the answer to the question for the collections, of whatever shape, has this id."""
        return mentions(self._get("/api/collection", params={"limit": _PAGE, "offset": 0}), collection_id)

    def upload(self, collection_id: str, csv: Path, *, separator: str = ",", mode: UploadMode = "append") -> Accepted:
        """Send a deals CSV, streamed from disk (S: append; D: override); answered before it is validated."""
        with csv.open("rb") as body:
            response = self._send(
                "POST",
                f"/api/collection/{_segment(collection_id)}/data/deals/{mode}",
                files={"file": (csv.name, body, "text/csv")},
                data={"separator": separator},
                timeout=httpx.Timeout(60.0, connect=10.0, read=answer_seconds(csv.stat().st_size, self._upload_timeout)),
                expect=(202,),
            )
        return _parse(Accepted, response)

    def append(self, collection_id: str, csv: Path, *, separator: str = ",") -> Accepted:
        """Merge a deals CSV into the collection (S)."""
        return self.upload(collection_id, csv, separator=separator, mode="append")

    def delete_deals(self, collection_id: str, ids: Sequence[str]) -> Accepted:
        """Ask for the deals of these ids to be deleted (D*); accepted first, then followed as ``upload_status(mode="delete")``.

        Ids that the collection does not hold are let be (A), so that a repeat is idempotent.

        Raises:
            UsageError: ``ids`` is empty, or has an entry that is no id: nothing is sent, since without ids the platform deletes everything.
        """
        if not ids or isinstance(ids, str) or not all(isinstance(identifier, str) and identifier for identifier in ids):
            raise UsageError(
                "A delete needs the ids of the deals to delete, each a text: without ids the platform is assumed to delete every deal."
            )
        path = f"/api/collection/{_segment(collection_id)}/data/deals/delete"
        return _parse(Accepted, self._send("DELETE", path, json={"args": {"ids": list(ids)}}, expect=(202,)))

    def upload_status(self, collection_id: str, request_id: str, *, mode: RequestMode = "append") -> UploadRequest:
        """The state of an upload or a delete (S: append; A: the paths of the others)."""
        path = f"/api/collection/{_segment(collection_id)}/data/deals/{mode}/{_segment(request_id)}"
        answer = _parse(UploadRequest, self._get(path))
        _require_own(path, request=(request_id, answer.id), collection=(collection_id, answer.collection_id))
        return answer

    def dump(self, collection_id: str, to: Path) -> None:
        """Write the deals that the collection holds to ``to``, as the platform's CSV (D)."""
        with to.open("wb") as sink:
            for block in self._stream(f"/api/collection/{_segment(collection_id)}/data/deals/dump"):
                sink.write(block)

    def invoke(self, collection_id: str, *, horizon: int, first_month: str | None = None) -> Accepted:
        """Ask for a forecast of ``horizon`` months, 1 to 12, from ``first_month`` (``YYYY-MM``) or the platform's default."""
        args: dict[str, Any] = {"horizon": horizon}
        if first_month is not None:
            args["first_month_to_predict"] = first_month
        body = {"collectionId": collection_id, "invocationType": "sales-forecasting", "args": args}
        return _parse(Accepted, self._send("POST", "/api/invocation", json=body, expect=(202,)))

    def invocation(self, invocation_id: str) -> Invocation:
        """The state of an invocation, and once completed, its results."""
        path = f"/api/invocation/{_segment(invocation_id)}"
        answer = _parse(Invocation, self._get(path))
        _require_own(path, invocation=(invocation_id, answer.id))
        return answer

    def result(self, invocation_id: str, form: ResultFormat) -> bytes:
        """The primary result as it comes."""
        return self._get(f"/api/invocation/{_segment(invocation_id)}/{form}").content

    def _note_sandbox(self, response: httpx.Response) -> None:
        self.sandbox = _SANDBOX in response.headers

    def _get(self, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        try:
            response = self._answer("GET", path, params=params)
        except _TooLarge as error:
            raise UnexpectedAnswer(
                f"GET {path}: {error}, as no answer of the contract is. Is DEALCAST_PLATFORM_URL the platform?"
            ) from error
        except httpx.HTTPError as error:
            raise failure(error, repeatable=True) from error
        if response.status_code != 200:
            raise refusal(response)
        return response

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        seconds = request["timeout"].read if "timeout" in request else _LONGEST_ANSWER
        with (
            self._answer_limit.after(seconds),
            self._http.stream(method, path, extensions={"trace": self._answer_limit.trace}, **request) as response,
        ):
            return _read(response)

    def _stream(self, path: str) -> Iterator[bytes]:
        try:
            with self._http.stream("GET", path, extensions={"trace": self._answer_limit.trace}) as response:
                if response.status_code != 200:
                    with self._answer_limit.after(_LONGEST_ANSWER, begun=True):
                        raise refusal(_read(response))
                _require_plain(response)
                yield from _bounded(response, self._largest_dump)
        except _TooLarge as error:
            raise UnexpectedAnswer(f"GET {path}: {error}; DEALCAST_UNPACKED_LIMIT (MB) bounds it.") from error
        except httpx.HTTPError as error:
            raise failure(error, repeatable=True) from error

    def _send(self, method: str, path: str, *, expect: tuple[int, ...], **body: Any) -> httpx.Response:
        try:
            response = self._answer(method, path, **body)
        except httpx.HTTPError as error:
            raise failure(error, repeatable=False) from error
        if response.status_code not in expect:
            raise refusal(response)
        return response


class _TooLarge(httpx.DecodingError):
    """An answer beyond its bound, which may also be a small one that unpacks to more."""


def _read(response: httpx.Response) -> httpx.Response:
    """The answer with its body, as `_bounded` has it."""
    _require_plain(response)
    content = b"".join(_bounded(response))
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _TRANSPORT_HEADERS]
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)


def _require_plain(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
        raise _TooLarge("the answer is encoded otherwise than gzip, which was all that was asked for", request=response.request)


def _bounded(response: httpx.Response, largest: int = _LARGEST_ANSWER) -> Iterator[bytes]:
    """An answer's body, which may be no larger than the limit."""
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > largest:
            raise _TooLarge(f"the answer is larger than {largest >> 20:,} MiB", request=response.request)
        yield piece


@cache
def _tls() -> ssl.SSLContext:
    """The trusted certificates, read once: a client lives for one look, and reading them takes longer than the look."""
    return httpx.create_ssl_context()


def answer_seconds(size: int, least: float) -> float:
    """Seconds that the answer to an upload of ``size`` bytes is waited for: one given up too early costs the whole file again."""
    return least + _UPLOAD_SECONDS_PER_MB * size / 1e6


def _segment(identifier: str) -> str:
    """An id as one path segment, percent-encoded, so that an odd one cannot reach another endpoint."""
    if not identifier or not identifier.strip("."):
        raise UsageError(f"{identifier!r} is not an id: an address with it would be another.")
    return quote_segment(identifier, safe="")


def _require_own(path: str, **ids: tuple[str, str | None]) -> None:
    """Refuse an answer about something else than was asked for: a foreign ``completed`` would invoke a forecast too early."""
    for what, (asked, answered) in ids.items():
        if answered not in (asked, None):
            raise UnexpectedAnswer(
                f"GET {path} was answered for another {what} than the one asked for, so nothing is made of it. "
                "Try again later; if it stays so, report it to the platform."
            )


def _parse(kind: type[_Answer], response: httpx.Response) -> _Answer:
    """Read a documented body; where a POST was accepted but its id cannot be read, the outcome cannot be followed."""
    try:
        return kind.model_validate_json(readable(response))
    except ValidationError as error:
        where = f"{response.request.method} {response.request.url.path} answered {response.status_code}"
        message = f"{where}, but its body is not the documented {kind.__name__}: {quote(response)}."
        if kind is Accepted:
            raise OutcomeUnknown(f"{message} It was accepted under an id that is not known.") from error
        raise UnexpectedAnswer(f"{message} Is DEALCAST_PLATFORM_URL the platform?") from error
