"""SFTP with the server's key checked against the known hosts, as `ssh` does: fsspec takes any key, and so gives the password to anybody."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from flows.errors import UsageError

KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
"""The user's own and the machine's, as OpenSSH has them."""


class KnownHostsFileSystem(SFTPFileSystem):  # type: ignore[misc] # fsspec ships no types
    """fsspec's SFTP, which connects to servers alone whose key is known."""

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        for known in KNOWN_HOSTS:
            with suppress(FileNotFoundError):
                self.client.load_system_host_keys(str(Path(known).expanduser()))
        self.client.set_missing_host_key_policy(_Refusal())
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
        except paramiko.BadHostKeyException as error:
            raise UsageError(
                f"The SFTP server {error.hostname} shows another key than the known hosts have: {_named(error.key)}. Somebody may stand "
                f"between; where its owner has changed it, `ssh-keygen -R '{error.hostname}'` and add the new one."
            ) from error
        self.ftp = self.client.open_sftp()


class _Refusal(paramiko.MissingHostKeyPolicy):  # type: ignore[misc] # paramiko ships no types
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - paramiko's signature
        """Stop before a password is sent."""
        host, _, port = hostname.removeprefix("[").partition("]:")
        scan = f"ssh-keyscan {f'-p {port} ' if port else ''}{host}"
        raise UsageError(
            f"The SFTP server {hostname} is not in {' or '.join(KNOWN_HOSTS)}: its key is {_named(key)}. Where its owner says the same, "
            f"add it: `{scan} >> {KNOWN_HOSTS[0]}`."
        )


def _named(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
