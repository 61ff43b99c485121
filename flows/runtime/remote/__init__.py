"""Files on other machines, by any URL that fsspec knows."""

from __future__ import annotations

from typing import Any

_SFTP = "flows.runtime.remote.known_hosts.KnownHostsFileSystem"


def url_to_fs(url: str) -> tuple[Any, str]:
    """Find the fsspec filesystem of ``url`` and the path in it; an SFTP server's key is checked, which fsspec does not.

    Raises:
        UsageError: the known hosts have no key of the SFTP server, or another.
        ValueError: fsspec knows no such protocol.
        ImportError: the package that reads it is not installed.
    """
    import fsspec  # noqa: PLC0415 - most exports are local, and need not pay for its import

    for protocol in ("sftp", "ssh"):
        fsspec.register_implementation(protocol, _SFTP, clobber=True, errtxt="paramiko is not installed")
    filesystem, path = fsspec.core.url_to_fs(url)
    return filesystem, path
