"""One run of the sync in a process of its own, which writes down each step and kills itself at a given one.

The production code has no hooks for this: its methods are wrapped here, in the child alone. The module is imported once, by
the fork server, so that a child begins with everything loaded.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

import fastapi  # noqa: F401 - what Prefect's engine imports in its first run is loaded once, before the children are forked
import great_expectations  # noqa: F401 - as above
import prefect.flow_engine  # noqa: F401 - as above
import pyarrow.dataset  # noqa: F401 - as above
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from expectations.gx import session  # noqa: F401 - as above
from flows import tasks
from flows.ledger.store import Entry, Ledger
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.runtime import data_process
from flows.sync_deals import sync_deals

NOTHING_NEW = 100
"""Exit code of a run that found nothing new: told apart from 0 here only."""


def run(environment: Mapping[str, str], options: dict[str, Any], journal: str, kill: str | None) -> None:
    """Sync once; ends the process with dealcast's exit code, or by SIGKILL at ``kill``."""
    os.environ.update(environment)
    logging.disable(logging.CRITICAL)
    points = _Journal(journal, kill)
    _watch_all(points)
    data_process.start_data_process = lambda *_: None  # this one has everything loaded, and dies where the journal says
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_API_URL: environment["PREFECT_API_URL"]}):
        state = sync_deals(SyncOptions(**options), return_state=True)
    error = None if state.is_completed() else state.result(raise_on_failure=False)
    code = (NOTHING_NEW if state.name == "NothingNew" else 0) if error is None else getattr(error, "exit_code", 1)
    points.reach("ended", code=code, said=state.message if error is None else repr(error))
    os._exit(code)


class _Journal:
    """An append-only file of the points that runs came by, which outlives any of them."""

    def __init__(self, path: str, kill: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kill = kill

    def reach(self, point: str, **facts: Any) -> None:
        """Write the point down, and die if it is the one."""
        os.write(self._file, (json.dumps({"point": point, **facts}, default=str) + "\n").encode())
        if point == self._kill:
            os.write(self._file, b'{"point": "killed"}\n')
            os.kill(os.getpid(), signal.SIGKILL)


def _watch_all(journal: _Journal) -> None:
    _watch(journal, Ledger, "write", lambda _, entry: (_step(entry), _facts(entry)))
    _watch(journal, Nostradamus, "upload", lambda *_, **__: ("POST append", {}))
    _watch(journal, Nostradamus, "delete_deals", lambda _, __, ids: ("DELETE deals", {"ids": sorted(ids)}))
    _watch(journal, Nostradamus, "upload_status", lambda *_, **__: ("poll append", {}))
    _watch(journal, Nostradamus, "invoke", lambda *_, **__: ("POST invocation", {}))
    _watch(journal, Nostradamus, "invocation", lambda *_, **__: ("poll invocation", {}))
    _watch(journal, Nostradamus, "result", lambda _, __, form: (f"download {form}", {}))
    _watch(journal, tasks, "publish", lambda *_: ("report", {}))


def _watch(journal: _Journal, owner: Any, name: str, describe: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    original = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        step, facts = describe(*args, **kwargs)
        journal.reach(f"before {step}", **facts)
        try:
            result = original(*args, **kwargs)
        except Exception as error:
            journal.reach(f"failed {step}", error=type(error).__name__, **facts)
            raise
        answered = {key: getattr(result, key) for key in ("id", "status") if hasattr(result, key)}
        journal.reach(f"after {step}", **facts, **answered)
        return result

    setattr(owner, name, watched)


def _step(entry: Entry) -> str:
    """Which of an entry's writes this is."""
    if entry.certified:
        return "write certified"
    if entry.forecast is not None:
        return f"write forecast {entry.forecast.state}"
    return "write indexed" if entry.indexed else f"write {entry.upload.state}"


def _facts(entry: Entry) -> dict[str, Any]:
    forecast_ = entry.forecast
    return {
        "fingerprint": entry.fingerprint,
        "upload": entry.upload.state,
        "request": entry.upload.id,
        "reason": entry.upload.reason,
        "forecast": forecast_.state if forecast_ else None,
        "invocation": forecast_.id if forecast_ else None,
    }
