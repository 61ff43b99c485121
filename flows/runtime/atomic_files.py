"""Files that are written whole or not at all, and folders that their owner alone can read."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from flows.errors import UsageError

HALF = ".dealcast.tmp"
"""The ending, behind a process's id, of a file that is being written."""


def remove_halves(folder: Path) -> None:
    """Remove what processes of this machine were writing into ``folder`` with :func:`write_whole` as they were killed."""
    for left in folder.glob(f"_*{HALF}"):
        writer = left.name.removesuffix(HALF).rpartition(".")[2]
        if writer.isdecimal() and not _is_alive(int(writer)):
            left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_whole(path: Path, pieces: Iterable[bytes], *, shared: bool = False) -> None:
    """Replace ``path`` durably: a reader sees the old file or the new one, and both bytes and name are on disk before this returns.

    A symbolic link in its place is replaced, and what it points to stays as it is.

    Args:
        path: the file; its folder exists.
        pieces: its content, which may be made of the old file's.
        shared: others may read it, if the umask lets them; else the owner alone, whatever the umask.

    Raises:
        OSError: it cannot be written; the old file is left as it was.
    """
    temporary = path.with_name(f"_{path.name}.{os.getpid()}{HALF}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if shared else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            if not shared:
                os.fchmod(descriptor, 0o600)
            sink.writelines(pieces)
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def private_folder(path: Path) -> Path:
    """Make a folder and the ones above it that are missing, for their owner alone."""
    for folder in reversed([path, *(above for above in path.parents if not above.exists())]):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def private_descriptor(path: str, flags: int) -> int:
    """Open a file for its owner alone, and none through a symbolic link: an ``opener`` for `open`."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def require_own(folder: Path) -> None:
    """Stop where a folder is not this user's alone to write: another could put links, or files that are read as ours, into it.

    Raises:
        UsageError: everybody can write to it, or a group with others in it; another user owns it, or the link to it.
    """
    try:
        found, named = folder.stat(), folder.lstat()
    except FileNotFoundError:
        return
    if {found.st_uid, named.st_uid} - {os.getuid(), 0}:
        raise UsageError(
            f"{folder} belongs to another user, and a home of dealcast's holds deals: set DEALCAST_HOME to a folder of your own."
        )
    if found.st_mode & stat.S_IWOTH:
        raise UsageError(f"Everybody can write to {folder}, and a home of dealcast's holds deals: `chmod o-w` it, or set DEALCAST_HOME.")
    if found.st_mode & stat.S_IWGRP and (others := _others_in(found.st_gid)):
        raise UsageError(
            f"{' and '.join(others[:2])}{' and others' if others[2:] else ''} can write to {folder}, by its group, and a home of "
            "dealcast's holds deals: `chmod g-w` it, or set DEALCAST_HOME."
        )


def _others_in(group: int) -> list[str]:
    """The users, other than this one and root, that are known to be in a group: none in a user's own, or in one without a name."""
    try:
        named = grp.getgrgid(group).gr_mem
    except KeyError:
        return []
    users = pwd.getpwall()
    members = {*named, *(user.pw_name for user in users if user.pw_gid == group)}
    return sorted(members - {user.pw_name for user in users if user.pw_uid in {os.getuid(), 0}})
