"""Files that are written whole or not at all, and folders that their owner alone can read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, pieces: Iterable[bytes], *, private: bool = False) -> None:
    """Replace ``path`` durably: a reader sees the old file or the new one, and both bytes and name are on disk before this returns.

    Args:
        path: the file; its folder exists.
        pieces: its content, which may be made of the old file's.
        private: only the owner may read it.

    Raises:
        OSError: it cannot be written; the old file is left as it was.
    """
    temporary = path.with_name(f"_{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
    try:
        with os.fdopen(descriptor, "wb") as sink:
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
    for folder in reversed([path, *path.parents]):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path
