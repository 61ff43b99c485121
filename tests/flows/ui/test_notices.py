"""A notice says where, what, since when and by which run, in each of the places that Prefect's blocks write to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import socketserver
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import MicrosoftTeamsWebhook, SendgridEmail, SlackWebhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.utilities.user_templates import render_user_template
from prefect.settings import PREFECT_UI_URL, temporary_settings
from prefect.states import Completed, Crashed, Failed

from deployments.commands.automations import read_automations, webhook_block
from flows.errors import StoppedByGate
from flows.ui import notices
from flows.ui.notices import error_tag, tell_change
from tests.conftest import sampled, wait_for

UI = "http://prefect.example"
NAME, MESSAGE = "acme 2026-11-27 · stopped by gate", "Stopped by gate. 2 of 480 deals would be refused by the platform."


class _Hook(BaseHTTPRequestHandler):
    got: list[str]

    def do_POST(self) -> None:
        self.got.append("\n".join(_texts(json.loads(self.rfile.read(int(self.headers["content-length"]))))))
        self.send_response(202 if "workflows" in self.path or "mail" in self.path else 200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class _Mail(socketserver.StreamRequestHandler):
    got: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                message = email.message_from_bytes(b"".join(iter(self.rfile.readline, b".\r\n")), policy=email.policy.default)
                body = message.get_body(("plain", "html"))
                self.got.append(f"{message['subject']}\n{body.get_content() if body else ''}")
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")


def _texts(found: Any) -> Iterator[str]:
    """The texts of a JSON document, whatever its form."""
    if isinstance(found, str):
        yield found
    for each in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from _texts(each)


@contextmanager
def _listening(kind: type[Any], certificate: Path | None = None) -> Iterator[tuple[int, list[str]]]:
    got: list[str] = []
    server_class = ThreadingHTTPServer if issubclass(kind, _Hook) else socketserver.ThreadingTCPServer
    with server_class(("127.0.0.1", 0), type("Receiver", (kind,), {"got": got})) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], got
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine's own, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "this.pem"
    file.write_bytes(key.private_bytes(*plain) + made.public_bytes(serialization.Encoding.PEM))
    return file


@contextmanager
def plain(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[tuple[NotificationBlock, list[str]]]:  # noqa: ARG001 - as the others
    with _listening(_Hook) as (port, got):
        yield webhook_block(f"http://127.0.0.1:{port}/hook"), got


@contextmanager
def slack(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[tuple[NotificationBlock, list[str]]]:  # noqa: ARG001 - as the others
    with _listening(_Hook) as (port, got):
        monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"http://127.0.0.1:{port}/services")
        yield SlackWebhook(url=f"https://hooks.slack.com/services/T{'A' * 8}/B{'B' * 8}/{'c' * 24}"), got


@contextmanager
def teams(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[tuple[NotificationBlock, list[str]]]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with _listening(_Hook, certificate) as (port, got):
        path = "workflows/abc/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cret"
        yield MicrosoftTeamsWebhook(url=f"https://127.0.0.1:{port}/{path}"), got


@contextmanager
def sendgrid(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[tuple[NotificationBlock, list[str]]]:  # noqa: ARG001 - as the others
    with _listening(_Hook) as (port, got):
        monkeypatch.setattr("apprise.plugins.sendgrid.NotifySendGrid.notify_url", f"http://127.0.0.1:{port}/v3/mail/send")
        yield SendgridEmail(api_key="abc", sender_email="dealcast@example.com", to_emails=["ops@example.com"]), got


@contextmanager
def smtp(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[tuple[NotificationBlock, list[str]]]:  # noqa: ARG001 - as the others
    """The block named after Slack hands an address that is not Slack's to Apprise, as the runbook says."""
    with _listening(_Mail) as (port, got):
        yield SlackWebhook(url=f"mailto://127.0.0.1:{port}?from=dealcast@example.com&to=ops@example.com&smtp=127.0.0.1&mode=insecure"), got


@pytest.fixture(scope="module")
def told(prefect_server: None) -> dict[str, tuple[str, str]]:  # noqa: ARG001 - it keeps the runs
    """Subject and body of each notice, by the event, as Prefect renders them: a deployment that was well fails and recovers."""
    emitted: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as monkeypatch, get_client(sync_client=True) as client, temporary_settings({PREFECT_UI_URL: UI}):
        monkeypatch.setattr(notices, "emit_event", lambda **event: emitted.append(event))
        deployment = client.create_deployment(client.create_flow_from_name("sync-deals"), f"acme-{uuid4().hex}")
        tags = ["collection:acme", error_tag(StoppedByGate())]
        ends: list[tuple[str, State[Any], list[str]]] = [
            ("acme 2026-11-26 · 412 sent", Completed(), []),
            (NAME, Failed(message=MESSAGE), tags),
            (NAME, Failed(message=MESSAGE), tags),
            ("acme 2026-11-28 · 3 sent", Completed(message="3 deals sent"), []),
        ]
        for name, state, tagged in ends:
            made = client.create_flow_run_from_deployment(deployment, name=name, tags=tagged)
            client.set_flow_run_state(made.id, state, force=True)
            tell_change(None, client.read_flow_run(made.id), state)
    return {event["event"]: _rendered(event) for event in emitted}


def _rendered(event: dict[str, Any]) -> tuple[str, str]:
    (automation,) = [each for each in read_automations() if each["trigger"]["expect"] == [event["event"]]]
    action = automation["actions"][0]
    known = {"automation": automation, "event": ReceivedEvent(occurred=datetime.now(UTC), id=uuid4(), **event)}
    subject, body = (asyncio.run(render_user_template(action[part], known)) for part in ("subject", "body"))
    return subject, body


@pytest.mark.parametrize("place", sampled([plain, slack, teams, sendgrid, smtp], 2))
def test_each_place_gets_what_happened_where_since_when_and_a_link(
    place: Callable[..., Any], told: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert list(told) == ["dealcast.sync.failing", "dealcast.sync.recovered"], "a second failure is no news"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    with place(monkeypatch, certificate) as (block, got):
        for subject, body in told.values():
            with block.raise_on_failure():
                block.notify(body, subject)
        wait_for(lambda: len(got) == 2, "both notices", got)
    failing, recovered = got
    assert all(words in failing for words in ("dealcast is failing", "acme 2026-11-27", MESSAGE, "acme-", f"well since {today}")), failing
    assert all(words in recovered for words in ("dealcast has recovered", "acme 2026-11-28", "3 deals sent", f"failing since {today}"))
    assert all(f"{UI}/v2/runs/flow-run/" in text for text in got)


def test_the_sweep_cannot_end_a_run_that_is_done() -> None:
    """Its last heartbeat may come after its end; Prefect refuses the change unless it is forced."""
    (sweep,) = [each for each in read_automations() if each["trigger"]["posture"] == "Proactive"]
    assert all(not action.get("force") for action in sweep["actions"])
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow_from_name("sync-deals"), f"acme-{uuid4().hex}")
        ends: list[State[Any]] = [Completed(name="NothingNew"), Failed(name="OutcomeUnknown")]
        for done in ends:
            run = client.create_flow_run_from_deployment(deployment)
            client.set_flow_run_state(run.id, done, force=True)
            client.set_flow_run_state(run.id, Crashed(message="no heartbeat"))
            assert client.read_flow_run(run.id).state_name == done.name
