"""HTTP to the error tree: every status and every failure has one meaning, and no message names the token."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from flows.errors import (
    DealcastError,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    PlatformBusy,
    PlatformRefused,
    PlatformUnreachable,
    Terminal,
    Transient,
    UnexpectedAnswer,
)
from flows.nostradamus.retryable_answers import failure, quote, refusal, retry_after

REQUEST = httpx.Request("POST", "https://platform.example/api/x", headers={"Authorization": "Token secret-4711"})


def answer(status: int, content: bytes = b"", **headers: str) -> httpx.Response:
    return httpx.Response(status, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()}, request=REQUEST)


def test_every_status_is_transient_or_terminal_and_says_which_request() -> None:
    for status in range(200, 600):
        error = refusal(answer(status, b'{"detail": "because"}'))
        assert isinstance(error, Transient) is not isinstance(error, Terminal)
        assert isinstance(error, Transient) is (status in (429, 502, 503, 504))
        assert isinstance(error, OutcomeUnknown) is (status >= 500 and status not in (502, 503, 504))
        assert f"POST /api/x answered {status}" in str(error)
        assert "4711" not in str(error)
        assert error.exit_code in (5, 6, 8)


@pytest.mark.parametrize("status", [429, *range(500, 600)])
def test_a_get_is_repeated_whatever_the_platform_s_trouble(status: int) -> None:
    response = answer(status)
    response.request = httpx.Request("GET", REQUEST.url)
    assert isinstance(refusal(response), PlatformBusy)


def test_a_failure_that_quotes_the_token_is_told_without_it() -> None:
    error = httpx.LocalProtocolError("Illegal header value b'Token secret-4711'", request=REQUEST)
    told = str(failure(error, repeatable=False))
    assert "4711" not in told
    assert "Token (token)" in told


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAuthorized),
        (403, NotAuthorized),
        (404, NotFound),
        (429, PlatformBusy),
        (500, OutcomeUnknown),
        (503, PlatformBusy),
        (200, UnexpectedAnswer),
        (204, UnexpectedAnswer),
        (302, UnexpectedAnswer),
        (400, PlatformRefused),
        (422, PlatformRefused),
    ],
)
def test_what_a_status_means(status: int, kind: type[DealcastError]) -> None:
    assert type(refusal(answer(status, b"x", location="https://evil.example/x"))) is kind


HTTPX_FAILURES = [
    kind
    for _, kind in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(kind, httpx.HTTPError) and kind is not httpx.HTTPStatusError
]
NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}


@pytest.mark.parametrize("kind", HTTPX_FAILURES)
def test_every_failure_of_httpx_has_a_meaning(kind: type[httpx.HTTPError]) -> None:
    """For a POST: surely not sent, or unknown. A GET may always be repeated."""
    error = kind("boom")
    error.request = REQUEST
    sent = failure(error, repeatable=False)
    assert type(sent) is (PlatformUnreachable if kind.__name__ in NOT_SENT else OutcomeUnknown)
    assert isinstance(failure(error, repeatable=True), PlatformUnreachable)
    assert "platform.example" in str(sent)
    assert "boom" in str(sent)
    assert "4711" not in str(sent)


def test_a_certificate_that_is_not_trusted_is_named_with_what_helps() -> None:
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"
    error = failure(httpx.ConnectError(text, request=httpx.Request("GET", "https://platform.example/api/collection")), repeatable=True)
    assert isinstance(error, PlatformUnreachable)
    assert "platform.example has a certificate that is not trusted (certificate has expired); nothing was sent." in str(error)
    assert "SSL_CERT_FILE" in str(error)


def test_a_failure_without_a_request_or_a_text_is_told_too() -> None:
    assert "ReadTimeout" in str(failure(httpx.ReadTimeout(""), repeatable=True))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("٣", None), ("Tue, 99 Foo", None)],
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    assert retry_after(httpx.Response(503, headers=[(b"retry-after", header.encode())], request=REQUEST)) == seconds


@pytest.mark.parametrize("ahead", [-3600, 0, 30, 3600])
def test_retry_after_as_a_date(ahead: int) -> None:
    """RFC 9110 writes it with GMT; one in the past is no wait at all."""
    wait = retry_after(answer(503, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)))
    assert wait == pytest.approx(max(ahead, 0), abs=2)


def test_retry_after_as_a_date_without_a_zone_is_utc() -> None:
    wait = retry_after(answer(503, retry_after=f"{datetime.now(UTC) + timedelta(seconds=30):%a, %d %b %Y %H:%M:%S} -0000"))
    assert wait == pytest.approx(30, abs=2)


def test_the_wait_reaches_the_error() -> None:
    error = refusal(answer(429, retry_after="17"))
    assert isinstance(error, Transient)
    assert error.retry_after == 17
    assert "asks to wait 17 s" in str(error)


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b"", "an empty body"),
        (b'{"message": "no such thing."}', "no such thing"),
        (b'{"detail": "why"}', "why"),
        (b'{"error": {"code": 7}}', '{"code": 7}'),
        (b'{"message": null, "detail": "", "error": "last"}', "last"),
        (b'[{"loc": ["body"], "msg": "bad"}]', '[{"loc": ["body"], "msg": "bad"}]'),
        (b"<html>\n  <b>Bad\tGateway</b></html>", "<html> <b>Bad Gateway</b></html>"),
        ("größe".encode("latin-1"), "gr\ufffd\ufffde"),
        (b"\xff\xfe\x00", "\ufffd\ufffd?"),
        (b"null", "null"),
        (b'"said"', "said"),
    ],
)
def test_any_body_can_be_quoted(body: bytes, quoted: str) -> None:
    assert quote(answer(400, body)) == quoted


def test_a_long_body_is_cut() -> None:
    assert len(quote(answer(500, json.dumps({"detail": "x" * 10_000}).encode()))) < 320


def test_a_body_that_is_nested_too_deep_is_quoted_all_the_same() -> None:
    assert "answered 400" in str(refusal(answer(400, b"[" * 100_000)))


@pytest.mark.parametrize(
    "date",
    ["Fri, 31 Dec 99999999999999999999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "9" * 5000],
)
def test_a_retry_after_beyond_all_clocks_is_no_trouble(date: str) -> None:
    assert isinstance(refusal(answer(503, b"", **{"Retry-After": date})), PlatformBusy)


def test_what_no_database_takes_is_not_quoted() -> None:
    """NUL, and half a pair of surrogates."""
    assert quote(answer(400, b'{"message": "a\\ud800b\\u0000c"}')) == "a?b?c"
