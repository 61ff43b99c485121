"""The platform's client: what it sends, how it pages and streams, and that the token goes nowhere else."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.errors import OutcomeUnknown, PlatformUnreachable, UnexpectedAnswer
from flows.nostradamus import Nostradamus
from flows.nostradamus.answer_limit import AnswerLimit
from flows.nostradamus.client import answer_seconds
from flows.settings import load_settings
from tests.flows.nostradamus.conftest import TOKEN, Answers

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox

ACCEPTED = b'{"id": "r1", "collectionId": "c", "status": "queued", "newField": 1}'


@pytest.fixture
def deals(tmp_path: Path) -> Path:
    path = tmp_path / "deals.csv"
    path.write_bytes(b"id,name\n1,\xc3\x86\n")
    return path


def test_an_append_is_the_documented_request(server: Answers, client: Nostradamus, deals: Path) -> None:
    """S: multipart form-data, `file` as text/csv with a file name, `separator`, and the token in every request."""
    server.will(202, ACCEPTED)
    assert client.append("my-collection-id", deals).id == "r1"
    [(method, path, headers, body)] = server.requests
    assert (method, path) == ("POST", "/api/collection/my-collection-id/data/deals/append")
    assert headers["authorization"] == f"Token {TOKEN}"
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="deals.csv"\r\nContent-Type: text/csv\r\n\r\nid,name\n1,\xc3\x86\n' in body
    assert b'name="separator"\r\n\r\n,\r\n' in body


def test_an_invocation_is_the_documented_request(server: Answers, client: Nostradamus) -> None:
    server.will(202, b'{"id": "i1", "status": "queued"}')
    client.invoke("c", horizon=6)
    client.invoke("c", horizon=12, first_month="2026-12")
    bodies = [json.loads(body) for _, _, _, body in server.requests]
    assert bodies[0] == {"collectionId": "c", "invocationType": "sales-forecasting", "args": {"horizon": 6}}
    assert bodies[1]["args"] == {"horizon": 12, "first_month_to_predict": "2026-12"}


def test_a_new_collection_is_the_documented_request(server: Answers, client: Nostradamus) -> None:
    server.will(201, b'{"id": "c1", "name": "acme"}')
    assert client.create_collection("acme", "Europe/Rome").id == "c1"
    [(_, _, _, body)] = server.requests
    assert json.loads(body) == {"name": "acme", "product": "SalesForecasting", "timezone": "Europe/Rome", "tag": {}, "properties": {}}


@pytest.mark.parametrize(
    ("first", "second", "failed"),
    [
        ({"primaryResult": True, "status": "completed"}, {"primaryResult": False, "status": "error"}, False),
        ({"primaryResult": True, "status": "error"}, {"primaryResult": False, "status": "completed"}, True),
        ({"primaryResult": "true", "status": "completed"}, {"status": "error"}, False),
        ({"status": "completed"}, {"status": "error"}, True),
    ],
)
def test_an_invocation_fails_with_its_primary_result(
    server: Answers, client: Nostradamus, first: dict[str, object], second: dict[str, object], failed: bool
) -> None:
    """And not for a field that nobody reads."""
    results = {"a": {**first, "xlsxAvailable": None}, "b": second}
    server.will(200, json.dumps({"id": "i", "status": "completed", "created": "?", "invocationResults": results}).encode())
    assert client.invocation("i").failed is failed


def test_a_file_is_streamed_not_held(sandbox: Sandbox, tmp_path: Path) -> None:
    """While a file of 192 MB is sent, Python's objects never take half of its size."""
    big = tmp_path / "big.csv"
    with big.open("wb") as sink:
        sink.truncate(192 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.nostradamus.client._TIMEOUT", 20)
        _swallow(listening)
        tracemalloc.start()
        with Nostradamus(f"http://127.0.0.1:{listening.getsockname()[1]}", sandbox.token) as platform:
            assert platform.append("c", big).id == "r1"
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 96 << 20


def _swallow(listening: socket.socket) -> None:
    """Take one request of known length, keep nothing of it, and accept."""

    def take() -> None:
        connection, _ = listening.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            head, _, rest = head.partition(b"\r\n\r\n")
            [length] = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
            left = length - len(rest)
            while left > 0:
                left -= len(connection.recv(1 << 20))
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(ACCEPTED), ACCEPTED))

    threading.Thread(target=take, daemon=True).start()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed_with_the_token(serve: Callable[[], Answers], deals: Path, status: int) -> None:
    here, elsewhere = serve(), serve().will(200, b"[]")
    here.will(status, b"", location=f"{elsewhere.url}/api/collection")
    with Nostradamus(here.url, TOKEN) as client:
        for ask in (lambda: list(client.collections()), lambda: client.append("c", deals), lambda: client.dump("c", deals)):
            with pytest.raises(UnexpectedAnswer, match="redirect to 127") as caught:
                ask()
            assert TOKEN not in str(caught.value)
    assert elsewhere.requests == []


@pytest.mark.parametrize("body", [b"", b"<html>ok</html>", b"[]", b"{}", b'{"id": "", "status": "queued"}', b'{"id": null}', b"\xff\xfe"])
def test_an_accepted_post_whose_answer_cannot_be_read_is_unknown(server: Answers, client: Nostradamus, deals: Path, body: bytes) -> None:
    """It was accepted under an id that nobody knows: that is neither yes nor no."""
    server.will(202, body)
    with pytest.raises(OutcomeUnknown):
        client.append("c", deals)
    with pytest.raises(OutcomeUnknown):
        client.invoke("c", horizon=1)
    with pytest.raises(UnexpectedAnswer):
        client.upload_status("c", "r1")


@pytest.mark.parametrize(("body", "identifier"), [(b'{"id": "r1"}', "r1"), (b'{"id": 7, "status": 3, "invocationResults": []}', "7")])
def test_of_an_accepted_post_s_answer_only_the_id_matters(
    server: Answers, client: Nostradamus, deals: Path, body: bytes, identifier: str
) -> None:
    """An odd field beside it must not make a POST that was answered be sent again."""
    server.will(202, body)
    assert client.append("c", deals).id == identifier
    assert client.invoke("c", horizon=1).id == identifier


@pytest.mark.parametrize("body", [b'{"requestId": "r1"}', b'{"id": null, "requestId": "r1"}', b'{"id": "r1", "requestId": "other"}'])
def test_a_request_is_named_by_either_word(server: Answers, client: Nostradamus, deals: Path, body: bytes) -> None:
    """D*: a sibling's override is answered with a `requestId`; `id` is the specification's word and wins."""
    server.will(202, body).will(202, body).will(200, body[:-1] + b', "status": "queued"}')
    assert client.upload("c", deals, mode="override").id == "r1"
    assert client.append("c", deals).id == "r1"
    assert client.upload_status("c", "r1", mode="override").id == "r1"


HEADS = [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"]


@pytest.mark.parametrize("head", HEADS)
def test_an_answer_that_trickles_in_ends_in_time(head: bytes, deals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its headers or its body: without an end to the whole it would go on for as long as the platform sends a byte now and then."""
    monkeypatch.setattr("flows.nostradamus.client._LONGEST_ANSWER", 0.3)
    with _trickling(head) as port, Nostradamus(f"http://127.0.0.1:{port}", TOKEN, upload_timeout=0.3) as client:
        with pytest.raises(PlatformUnreachable, match="not whole after"):
            list(client.collections())
        with pytest.raises(OutcomeUnknown, match="not whole after"):
            client.append("c", deals)


@contextmanager
def _trickling(head: bytes) -> Iterator[int]:
    """The port of a server that answers a byte every few hundredths of a second, after ``head``, until it is left."""
    end = threading.Event()

    def trickle(taken: socket.socket) -> None:
        with taken, suppress(OSError):
            taken.sendall(head)
            while not end.wait(0.02):
                taken.sendall(b"x")

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=trickle, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        end.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_no_listener_means_not_sent(deals: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Nostradamus(f"http://127.0.0.1:{port}", TOKEN) as client, pytest.raises(PlatformUnreachable, match="nothing was sent") as caught:
        client.append("c", deals)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_an_unresolvable_host_means_not_sent(deals: Path) -> None:
    with Nostradamus("https://nowhere.invalid", TOKEN) as client, pytest.raises(PlatformUnreachable, match="nothing was sent"):
        client.append("c", deals)


def test_a_post_that_got_no_answer_is_unknown_and_a_get_repeatable(deals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.nostradamus.client._TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, _impatient(silent) as client:
        with pytest.raises(OutcomeUnknown, match="may or may not have been accepted"):
            client.append("c", deals)
        with pytest.raises(PlatformUnreachable, match="no whole answer"):
            client.upload_status("c", "r")


def test_a_dump_is_written_as_it_comes(server: Answers, client: Nostradamus, tmp_path: Path) -> None:
    content = b"id\n" + b"1\n" * 100_000
    server.will(200, content)
    client.dump("c", tmp_path / "dump.csv")
    assert (tmp_path / "dump.csv").read_bytes() == content


def test_nothing_of_the_token_is_shown(client: Nostradamus) -> None:
    assert TOKEN not in repr(client) + str(vars(client))


@pytest.mark.parametrize("token", ["t", "id", "abc"])
def test_a_token_of_a_letter_or_three_garbles_no_answer(server: Answers, token: str) -> None:
    server.will(200, b'{"id": "rabc", "collectionId": "c", "status": "completed", "dataType": "deals"}')
    with Nostradamus(server.url, token) as client:
        assert client.upload_status("c", "rabc").id == "rabc"


def _impatient(silent: socket.socket) -> Nostradamus:
    return Nostradamus(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, upload_timeout=0.2)


def test_an_upload_is_given_time_by_its_size() -> None:
    """A platform that reads a file whole before it answers is not sent it again and again."""
    assert answer_seconds(0, 300) == 300
    assert answer_seconds(400_000_000, 300) == 1100


def test_an_upload_s_answer_is_waited_for_as_long_as_its_size_and_the_setting_say(
    server: Answers, deals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, float]] = []
    waited: list[float] = []

    def seconds(size: int, least: float) -> float:
        asked.append((size, least))
        return 60.0

    def after(_: AnswerLimit, seconds: float) -> AbstractContextManager[None]:
        waited.append(seconds)
        return nullcontext()

    monkeypatch.setattr("flows.nostradamus.client.answer_seconds", seconds)
    monkeypatch.setattr(AnswerLimit, "after", after)
    server.will(202, ACCEPTED)
    with Nostradamus(server.url, TOKEN, upload_timeout=77.0) as client:
        client.append("c", deals)
    assert (asked, waited) == ([(deals.stat().st_size, 77.0)], [60.0])
    monkeypatch.setenv("DEALCAST_UPLOAD_TIMEOUT", "88")
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", server.url)
    monkeypatch.setenv("DEALCAST_TOKEN", TOKEN)
    with load_settings().platform() as client:
        client.append("c", deals)
    assert asked[1][1] == 88.0


@pytest.mark.parametrize("message", [{"of": ["any", "type"]}, ["a", 1], 7, True, None, "a text", "\ud800\u0000"])
def test_the_message_of_a_status_may_be_of_any_type(server: Answers, client: Nostradamus, message: object) -> None:
    server.will(200, json.dumps({"id": "r", "status": "completed", "message": message, "validationErrors": message}).encode())
    assert client.upload_status("c", "r").status == "completed"
    assert client.invocation("r").status == "completed"


@pytest.mark.parametrize(
    ("body", "ask"),
    [
        ({"id": "other", "status": "completed"}, "upload"),
        ({"id": "r", "collectionId": "other", "status": "completed"}, "upload"),
        ({"requestId": "other", "status": "error"}, "upload"),
        ({"id": "other", "status": "completed"}, "invocation"),
    ],
)
def test_an_answer_about_something_else_is_no_answer(server: Answers, client: Nostradamus, body: dict[str, str], ask: str) -> None:
    """A foreign `completed` would invoke a forecast on a collection that has no data."""
    server.will(200, json.dumps(body).encode())
    with pytest.raises(UnexpectedAnswer, match=r"another (request|collection|invocation)"):
        client.upload_status("c", "r") if ask == "upload" else client.invocation("i")


def test_an_answer_of_ours_needs_not_name_the_collection(server: Answers, client: Nostradamus) -> None:
    server.will(200, b'{"id": "r", "status": "completed"}').will(200, b'{"id": "r", "collectionId": "c", "status": "queued"}')
    assert client.upload_status("c", "r").status == "completed"
    assert client.upload_status("c", "r").status == "queued"


def test_a_small_answer_that_unpacks_to_gigabytes_is_cut_off(server: Answers, client: Nostradamus, deals: Path) -> None:
    bomb = gzip.compress(gzip.compress(b" " * (64 << 20)))
    server.will(200, gzip.decompress(bomb), content_encoding="gzip").will(202, gzip.decompress(bomb), content_encoding="gzip")
    with pytest.raises(UnexpectedAnswer, match="larger than 16 MiB"):
        client.upload_status("c", "r")
    with pytest.raises(OutcomeUnknown, match="may or may not have been accepted"):
        client.append("c", deals)


@pytest.mark.parametrize("results", [[{}] * 10_001, {str(number): {} for number in range(10_001)}])
def test_an_invocation_of_ten_thousand_results_is_none(server: Answers, client: Nostradamus, results: object) -> None:
    """Each takes a hundred times the memory of its text."""
    server.will(200, json.dumps({"id": "i", "status": "completed", "invocationResults": results}).encode())
    with pytest.raises(UnexpectedAnswer, match="not the documented Invocation"):
        client.invocation("i")


def test_half_a_pair_of_surrogates_does_not_lose_the_id(client: Nostradamus, server: Answers) -> None:
    server.will(202, b'{"id": "request-1", "status": "queued", "message": "\\ud800"}')
    assert client.invoke("acme", horizon=3).id == "request-1"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd"])
def test_an_answer_that_is_packed_otherwise_than_asked_is_refused(
    server: Answers, client: Nostradamus, encoding: str, tmp_path: Path
) -> None:
    """Of a few bytes such a body makes gigabytes at once."""
    server.will(200, gzip.compress(gzip.compress(b"{}")), content_encoding=encoding)
    with pytest.raises(UnexpectedAnswer, match="encoded otherwise than gzip"):
        client.upload_status("c", "r")
    with pytest.raises(UnexpectedAnswer, match="encoded otherwise than gzip"):
        client.dump("c", tmp_path / "dump.csv")
    assert server.requests[0][2]["accept-encoding"] == "gzip"


def test_a_dump_is_bounded(server: Answers, tmp_path: Path) -> None:
    server.will(200, gzip.compress(b" " * (3 << 20)), content_encoding="gzip").will(
        500, gzip.compress(b" " * (64 << 20)), content_encoding="gzip"
    )
    with Nostradamus(server.url, TOKEN, largest_dump=2 << 20) as client:
        with pytest.raises(UnexpectedAnswer, match=r"larger than 2 MiB; DEALCAST_UNPACKED_LIMIT"):
            client.dump("c", tmp_path / "dump.csv")
        with pytest.raises(UnexpectedAnswer, match="larger than 16 MiB"):
            client.dump("c", tmp_path / "dump.csv")
