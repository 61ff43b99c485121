"""An SFTP server's key is checked before a password is sent, for exports, the ledger and forecasts alike."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pyarrow as pa
import pytest

from flows.crm.files.location import fetch
from flows.delivery.forecast_targets import _write
from flows.errors import UsageError
from flows.ledger.store import Ledger

CONTENT = b"id,stage\n1,Won\n"


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No test here starts a flow."""


class Account(paramiko.ServerInterface):  # type: ignore[misc] # paramiko ships no types
    """Takes any password, and remembers those that it was sent."""

    passwords: list[str] = []  # noqa: RUF012 - one list for all connections of a test

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002 - paramiko's signature
        self.passwords.append(password)
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - as above
        return int(paramiko.OPEN_SUCCEEDED)


class OneFile(paramiko.SFTPServerInterface):  # type: ignore[misc] # as above
    """Every path is the same small export."""

    def stat(self, path: str) -> object:  # noqa: ARG002 - as above
        found = paramiko.SFTPAttributes()
        found.st_mode, found.st_size, found.st_uid, found.st_gid, found.st_atime, found.st_mtime = 0o100600, len(CONTENT), 0, 0, 0, 0
        return found

    def open(self, path: str, flags: int, attr: object) -> object:  # noqa: ARG002 - as above
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = handle.writefile = self.file
        return handle

    @property
    def file(self) -> object:
        """Its content, as a file that paramiko closes."""
        from io import BytesIO  # noqa: PLC0415 - here alone

        return BytesIO(CONTENT)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path, str]]:
    """An SFTP server; yields its address, the user's known hosts, and its key as they would have it."""
    home = tmp_path / "user"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("DEALCAST_HOME", str(home / "dealcast"))
    monkeypatch.setattr(Account, "passwords", [])
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        threading.Thread(target=_serve, args=(listening, key), daemon=True).start()
        yield f"me:s3cret@127.0.0.1:{port}", home / ".ssh/known_hosts", f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n"
        listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket, key: object) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, OneFile)
        transport.start_server(event=threading.Event(), server=Account())


def opened(place: str, url: str) -> None:
    """What connects first, of the parts that take a URL."""
    if place == "export":
        fetch(url).close()
    elif place == "ledger":
        Ledger(url)
    else:
        _write(url, pa.table({"month": ["2026-01"]}))


@pytest.mark.parametrize("place", ["export", "ledger", "forecasts"])
@pytest.mark.parametrize("protocol", ["sftp", "ssh"])
def test_an_unknown_server_is_sent_no_password(place: str, protocol: str, server: tuple[str, Path, str]) -> None:
    address, _, line = server
    with pytest.raises(UsageError, match=r"not in ~/.ssh/known_hosts") as raised:
        opened(place, f"{protocol}://{address}/deals.csv")
    assert f"ssh-keyscan -p {address.rpartition(':')[2]} 127.0.0.1 >> ~/.ssh/known_hosts" in str(raised.value)
    assert "SHA256:" in str(raised.value)
    assert "s3cret" not in str(raised.value) + line
    assert Account.passwords == []


def test_a_server_with_another_key_is_sent_no_password(server: tuple[str, Path, str]) -> None:
    address, known, line = server
    other = paramiko.ECDSAKey.generate().get_base64()
    known.write_text(" ".join([*line.split()[:2], other]) + "\n")
    with pytest.raises(UsageError, match=r"shows another key than the known hosts have: ecdsa.* SHA256:"):
        opened("export", f"sftp://{address}/deals.csv")
    assert Account.passwords == []


def test_a_known_server_s_export_is_read(server: tuple[str, Path, str]) -> None:
    """After what the refusal says to do."""
    address, known, line = server
    known.write_text(line)
    export = fetch(f"sftp://{address}/deals.csv")
    assert export.path.read_bytes() == CONTENT
    export.close()
    assert Account.passwords == ["s3cret"]
