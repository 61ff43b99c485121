"""The location of the export: a path, a glob (newest wins), or any fsspec URL; always handed on as a local file."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from flows.crm.files.joined_parts import joined, part_opener, parts_of
from flows.errors import ExportNotFound, ExportUnreadable, UsageError
from flows.options import FROM_ENVIRONMENT, shown_url
from flows.runtime.remote import url_to_fs
from flows.runtime.staging_area import staging_folder
from flows.settings import load_settings

_MAGIC = "*?["


@dataclass(frozen=True)
class LocalExport:
    """The export on this machine. ``location`` is what was chosen, ``modified`` is None where nobody knows."""

    location: str
    path: Path
    modified: datetime | None
    copies: ExitStack
    """The folder that keeps a fetched copy, private and removed with it."""
    cuts: frozenset[int] = frozenset()
    """The lines in which a part of it ends without a line end."""

    @cached_property
    def _found(self) -> os.stat_result:
        return self.path.stat()

    @property
    def size(self) -> int:
        """The file's size in bytes, as it was found."""
        return self._found.st_size

    def require_unchanged(self) -> None:
        """Stop where the file is not the one that was opened: a part of what was read may be of another.

        Raises:
            ExportUnreadable: it was written to, replaced or removed in the meantime.
        """
        try:
            now = self.path.stat()
        except OSError:
            now = None
        if now is None or (now.st_size, now.st_mtime_ns, now.st_ino) != (self.size, self._found.st_mtime_ns, self._found.st_ino):
            raise ExportUnreadable(
                f"{self.location} changed while it was read, so its last rows may be cut. Run again when it is written; let what exports "
                "it write to another name and rename the file in the end."
            )

    @cached_property
    def _digest(self) -> Future[str]:
        beside = ThreadPoolExecutor(1)
        digest = beside.submit(sha256_of, self.path)
        beside.shutdown(wait=False)
        return digest

    def start_digest(self) -> None:
        """Begin to take the digest beside everything else."""
        _ = self._digest, self.size

    @property
    def sha256(self) -> str:
        """The digest of the file as it lies there."""
        return self._digest.result()

    def close(self) -> None:
        """Remove every copy that was made, once its digest is taken."""
        if "_digest" in self.__dict__:
            self._digest.exception()
        self.copies.close()


def fetch(location: str) -> LocalExport:
    """Find the export and bring it here.

    Raises ExportNotFound where no file is, ExportUnreadable for one that cannot be read, UsageError for a URL of a kind
    that this installation does not know.
    """
    location = _named(location)
    copies = ExitStack()
    try:
        local = _remote(location, copies) if "://" in location else _local(location, copies)
        local.start_digest()
    except BaseException:
        copies.close()
        raise
    return local


def _named(location: str) -> str:
    """The location itself, or the one that the environment variable of ``env:NAME`` holds."""
    if not location.startswith(FROM_ENVIRONMENT):
        return location
    name = location.removeprefix(FROM_ENVIRONMENT)
    if not os.environ.get(name):
        raise UsageError(f"The export is {location}, and the environment has no variable {name}: put the export's path or URL into it.")
    return os.environ[name]


def sha256_of(path: Path) -> str:
    """The digest of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _local(location: str, copies: ExitStack) -> LocalExport:
    try:
        return _found(location, copies)
    except OSError as error:
        raise ExportUnreadable(f"{location} cannot be read: {error.strerror}. Check the path and its permissions.") from error


def _found(location: str, copies: ExitStack) -> LocalExport:
    path = Path(location).expanduser()
    if not path.exists() and any(sign in location for sign in _MAGIC):
        path = _newest(str(path))
        if len(parts := parts_of(path)) > 1:
            return _joined(parts, path, copies)
    if path.is_dir():
        raise ExportNotFound(f"{location} is a folder. Name a file in it, or a glob such as {path / '*.csv'} (the newest file wins).")
    if not path.exists():
        raise ExportNotFound(f"No file {location}. Check the path; a glob in quotes picks the newest file that matches.")
    if not path.is_file():
        raise ExportUnreadable(f"{location} is no regular file, and an export is read more than once. Write it to a file first.")
    with path.open("rb"):
        return LocalExport(str(path), path, datetime.fromtimestamp(path.stat().st_mtime, UTC), copies)


def _joined(parts: list[Path], newest: Path, copies: ExitStack) -> LocalExport:
    whole = copies.enter_context(staging_folder(load_settings().home_folder)) / newest.name
    cuts = set[int]()
    with joined([part_opener(part) for part in parts], cuts) as text, whole.open("wb") as sink:
        shutil.copyfileobj(text, sink)
    named = ", followed by ".join([str(parts[0]), *(part.name for part in parts[1:])])
    return LocalExport(named, whole, datetime.fromtimestamp(newest.stat().st_mtime, UTC), copies, frozenset(cuts))


def _newest(pattern: str) -> Path:
    # Path.glob takes no absolute pattern
    files = [Path(match) for match in glob.glob(pattern, recursive=True) if Path(match).is_file()]  # noqa: PTH207 -- see above
    if not files:
        raise ExportNotFound(f"No file matches {pattern}. Check the folder and the pattern.")
    return max(files, key=lambda file: (file.stat().st_mtime, str(file)))


def _remote(location: str, copies: ExitStack) -> LocalExport:
    shown = shown_url(location)
    protocol = location.split("://", 1)[0].rsplit(":", 1)[-1]
    _require_admitted(location)
    try:
        filesystem, path = url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"Cannot open {protocol}:// locations: {error}. Install the extra that reads them, e.g. `pip install 'dealcast[{protocol}]'`."
        ) from error
    except UsageError:
        raise
    except Exception as error:  # some filesystems connect when they are made
        raise ExportUnreadable(_unreachable(shown, error)) from error
    try:
        if protocol not in {"http", "https"} and any(sign in path for sign in _MAGIC):
            path = _newest_remote(filesystem, path, location)
        info = filesystem.info(path)
        local = copies.enter_context(staging_folder(load_settings().home_folder)) / (Path(path.split("?", 1)[0]).name or "export")
        filesystem.get_file(path, str(local))
    except FileNotFoundError as error:
        if isinstance(error.__cause__, OSError):  # aiohttp's connection errors, as fsspec passes them on
            raise ExportUnreadable(
                f"{shown} cannot be fetched ({type(error.__cause__).__name__}). Check the address and the network."
            ) from error
        raise ExportNotFound(f"No file at {shown}. Check the address.") from error
    except ExportNotFound:
        raise
    except Exception as error:
        raise ExportUnreadable(_unreachable(shown, error)) from error
    chosen = location if path in location else filesystem.unstrip_protocol(path)
    return LocalExport(shown_url(chosen), local, _modified(info), copies)


def _require_admitted(location: str) -> None:
    """Raise UsageError where a part of a URL is of a kind that the setting does not name: fsspec knows some that run commands."""
    admitted = {each.strip() for each in load_settings().export_protocols.split(",")}
    kinds = [part.split("://", 1)[0] for part in location.split("::")]
    if refused := [kind for kind in kinds if kind not in admitted]:
        raise UsageError(
            f"The export is at a URL of a kind that is not opened: {', '.join(refused)}. DEALCAST_EXPORT_PROTOCOLS names those that are: "
            f"{', '.join(sorted(admitted))}."
        )


def _unreachable(shown: str, error: Exception) -> str:
    """The kind of an error and no word of it: a library's text may hold the whole URL."""
    return f"{shown} cannot be fetched ({type(error).__name__}). Check the address, the network and your credentials."


def _newest_remote(filesystem: Any, pattern: str, location: str) -> str:
    files = [info for info in filesystem.glob(pattern, detail=True).values() if info.get("type") == "file"]
    if not files:
        raise ExportNotFound(f"No file matches {shown_url(location)}. Check the folder and the pattern.")
    epoch = datetime.fromtimestamp(0, UTC)
    return str(max(files, key=lambda info: (_modified(info) or epoch, info["name"]))["name"])


def _modified(info: dict[str, Any]) -> datetime | None:
    """The modification time, under whichever name and type the filesystem gives it."""
    for key in ("LastModified", "last_modified", "mtime", "modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
    return None
