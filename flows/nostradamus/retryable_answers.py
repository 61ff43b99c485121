"""Answers and failures of HTTP: which are retried, and which error each is, without ever naming the token."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from expectations.disclosure import known_or_shape, shape, without_cells
from flows.errors import (
    DealcastError,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    PlatformBusy,
    PlatformRefused,
    PlatformUnreachable,
    UnexpectedAnswer,
)
from flows.nostradamus.models import one_line

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


_REDACTED = "(token)"
_SHORTEST_SECRET = 4
_SAID = ("message", "detail", "error", "msg", "title", "reason")
"""The fields of a body whose texts are words of the platform's own, and no cells."""

_LONGEST_READ = 1 << 16
"""Bytes of a body that are looked through for words to quote."""

_SHORT = 1000
"""Numbers of fewer digits than a deal's are shown, such as a code or a row of a batch."""

_LATER = (429, 502, 503, 504)
"""Answers that ask to come back. After any other 5xx, except to a GET, nobody knows what was done: `delivery/submit.py` settles that."""


def refusal(response: httpx.Response) -> DealcastError:
    """The error that an answer other than the documented success means; the answer's body must have been read."""
    request = response.request
    where = f"{request.method} {request.url.path} answered {response.status_code}"
    said = quote(response)
    code = response.status_code
    if code in (401, 403):
        return NotAuthorized(f"{where}: {said}. Check DEALCAST_TOKEN: it is missing, wrong, or lacks the right.")
    if code == 404:
        return NotFound(f"{where}: {said}. Check the id, and that DEALCAST_PLATFORM_URL is right; `dealcast collections list` shows yours.")
    if code == 429 or code >= 500:
        return _not_now(response, f"{where}: {said}")
    if response.is_redirect:
        host = httpx.URL(response.headers.get("location", "")).host or "another path"
        return UnexpectedAnswer(
            f"{where}, a redirect to {host}: not followed, so that the token stays here. If the platform moved, set DEALCAST_PLATFORM_URL."
        )
    if response.is_success:
        return UnexpectedAnswer(f"{where}, which the contract does not know here: {said}. Is DEALCAST_PLATFORM_URL the platform?")
    return PlatformRefused(f"{where}: {said}.")


def _not_now(response: httpx.Response, what: str) -> DealcastError:
    if response.request.method != "GET" and response.status_code not in _LATER:
        return OutcomeUnknown(f"{what}; it may or may not have been accepted.")
    wait = retry_after(response)
    later = f"it asks to wait {wait:.0f} s" if wait is not None else "it may answer later"
    return PlatformBusy(f"{what}; {later}.", wait)


def _through(error: httpx.HTTPError) -> str:
    """The variable whose proxy took the call, as a part of a sentence; not the proxy, whose URL may have a password."""
    try:
        url = error.request.url
    except RuntimeError:
        return ""
    kinds = [kind for kind in (url.scheme, "all") if kind in getproxies()]
    direct = url.scheme != "https" or not kinds or proxy_bypass(url.host)
    return "" if direct else f" through the proxy of {kinds[0].upper()}_PROXY"


def failure(error: httpx.HTTPError, *, repeatable: bool) -> DealcastError:
    """The error that a failed exchange means: not sent, sent without an answer, or simply to be repeated (a GET)."""
    try:
        where = f"{error.request.method} {error.request.url.path}"
        host, secret = error.request.url.netloc.decode(), _secret(error.request)
    except RuntimeError:  # httpx raises it where no request was attached
        where, host, secret = "request", "the platform", ""
    why = (str(error) or type(error).__name__).replace(secret or "\0", _REDACTED)
    if isinstance(error, httpx.RemoteProtocolError) and "b'" in why:  # a line of what came in place of an answer
        why = type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in why:
        reason = why.partition("verify failed: ")[2].partition(" (_ssl")[0] or why
        return PlatformUnreachable(
            f"{where}: {host} has a certificate that is not trusted{_through(error)} ({reason}); nothing was sent. "
            "Check DEALCAST_PLATFORM_URL and this machine's clock; a company's own authority goes into a file that SSL_CERT_FILE names."
        )
    if isinstance(error, _NOT_SENT):
        return PlatformUnreachable(
            f"{where}: {host} cannot be reached{_through(error)} ({why}); nothing was sent. Check DEALCAST_PLATFORM_URL and the network."
        )
    if repeatable:
        return PlatformUnreachable(f"{where}: no whole answer from {host} ({why}).")
    return OutcomeUnknown(f"{where}: sent to {host}, but no answer came ({why}); it may or may not have been accepted.")


def quote(response: httpx.Response) -> str:
    """The text of the body, in at most 300 characters; its shape is not documented (S), so any body will do.

    Of what may be cells of the deals that it answers, the form.
    """
    content = redacted(response)
    try:
        body = json.loads(content if len(content) <= _LONGEST_READ else b"")
    except (ValueError, RecursionError):
        body = content[:_LONGEST_READ].decode(errors="replace")
    if isinstance(body, dict):
        body = next((body[key] for key in ("message", "detail", "error") if body.get(key)), body)
    text = without_cells(storable(body)) if isinstance(body, str) else json.dumps(forms_of(body, _SAID), ensure_ascii=False)
    return one_line(text).rstrip(".") or "an empty body"


def forms_of(body: Any, said: Collection[str] = (), name: str = "") -> Any:
    """A body of JSON with the form of each text, but for words in the fields that ``said`` names."""
    if isinstance(body, dict):
        return {without_cells(storable(key)): forms_of(value, said, key) for key, value in body.items()}
    if isinstance(body, list):
        return [forms_of(value, said, name) for value in body]
    if isinstance(body, str):
        return without_cells(storable(body)) if name in said else known_or_shape(storable(body))
    return body if body is None or abs(body) < _SHORT else shape(str(body))


def storable(text: str) -> str:
    """``text`` without what no database or terminal takes: NUL, and half a pair of surrogates."""
    return text.replace("\0", "?").encode(errors="replace").decode()


def readable(response: httpx.Response) -> bytes:
    """The body redacted, and where it is JSON without halves of surrogate pairs, which would make all of it unreadable."""
    body = redacted(response)
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return body


def redacted(response: httpx.Response) -> bytes:
    """The body without the token, should an answer repeat what it was asked with."""
    secret = _secret(response.request)
    return response.content.replace(secret.encode(), _REDACTED.encode()) if secret else response.content


def _secret(request: httpx.Request) -> str:
    """The token, or nothing where it is so short that it is in any text by chance: taken out, it would garble the answers."""
    token = str(request.headers.get("authorization", "")).partition(" ")[2]
    return token if len(token) >= _SHORTEST_SECRET else ""


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the Retry-After header asks for, given as seconds or as a date; None where it says nothing."""
    header = response.headers.get("retry-after", "").strip()
    if not header:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        if moment.tzinfo is None:  # "-0000": UTC, from a clock that knows no zone
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
