"""The private place of what a command has in its hands: removed with it, or by the next one where it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from flows.runtime.atomic_files import private_folder, require_own

_OWN: set[Path] = set()
"""This process's folders."""


def remove_own() -> None:
    """Remove this process's folders, as its end does where nothing unwinds any more."""
    for folder in list(_OWN):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def staging_folder(home: Path) -> Iterator[Path]:
    """A folder for the length of the block that only its owner can read; those of killed runs are removed first.

    Raises:
        UsageError: the home is not this user's alone to write.
    """
    require_own(home)
    place = private_folder(home / "staging")
    with ExitStack() as at_work:
        with _locked(place, fcntl.LOCK_EX):
            _remove_dead(place)
            folder = private_folder(place / uuid4().hex)
            at_work.enter_context(_locked(folder, fcntl.LOCK_EX))
        _OWN.add(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _OWN.discard(folder)


def sweep(home: Path) -> None:
    """Remove what killed commands have left; nothing where none ever ran.

    Raises:
        UsageError: the home is not this user's alone to write, and what lies there may be anything.
    """
    with suppress(OSError):
        require_own(home)
    with suppress(OSError), _locked(home / "staging", fcntl.LOCK_EX):
        _remove_dead(home / "staging")


def _remove_dead(place: Path) -> None:
    for left in place.iterdir():
        if left.is_symlink():  # none of ours
            left.unlink(missing_ok=True)
            continue
        with suppress(BlockingIOError, FileNotFoundError), _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):  # not locked: its run is dead
            shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends; never of what a symbolic link leads to."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
