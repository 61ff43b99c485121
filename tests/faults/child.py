"""One run of the sync in a process of its own, which writes down each step, and at given ones kills or stops itself or meets a fault.

The production code has no hooks for this: its methods are wrapped here, in the child alone. The module is imported once, by
the fork server, so that a child begins with everything loaded.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal, Self

import fastapi  # noqa: F401 - what Prefect's engine imports in its first run is loaded once, before the children are forked
import great_expectations  # noqa: F401 - as above
import httpx
import prefect.flow_engine  # noqa: F401 - as above
import pyarrow.dataset  # noqa: F401 - as above
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from deployments.command_line.signals import end_on_signals
from expectations.gx import session  # noqa: F401 - as above
from flows import tasks
from flows.deals.index.index_file import INDEX
from flows.errors import PrefectAway
from flows.ledger import store
from flows.ledger.store import Entry, Ledger
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.runtime import data_process
from flows.sync_deals import resume_sync, sync_deals

NOTHING_NEW = 100
"""Exit code of a run that found nothing new: told apart from 0 here only."""


Act = Literal["kill", "pause", "term", "int", "full"]
"""What happens at a point: SIGKILL, SIGSTOP, SIGTERM, SIGINT, or the ledger's disk is full from there on."""

_INDEX = f"{INDEX}{store.CONTENT}"

_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "term": signal.SIGTERM, "int": signal.SIGINT}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is special about a run: ``act`` happens once, the first time that it comes by the point ``at``.

    The clock that dealcast reads is ``days`` ahead. ``run`` names it in the journal; ``sandbox``, if there is one, is asked at an
    invocation for the uploads that it has open.
    """

    at: str | None = None
    act: Act = "kill"
    days: float = 0.0
    resume: bool = False
    run: int = 0
    sandbox: str | None = None


def run(environment: Mapping[str, str], options: dict[str, Any], journal: str, plan: Plan) -> None:
    """Sync once; ends the process with dealcast's exit code, or by the signal of the plan."""
    os.environ.update(environment)
    logging.disable(logging.CRITICAL)
    end_on_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    points = _Journal(journal, plan)
    _watch_all(points)
    _set_clock(timedelta(days=plan.days))
    data_process.start_data_process = lambda *_: None  # this one has everything loaded, and dies where the journal says
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_API_URL: environment["PREFECT_API_URL"]}):
            state = _flow(options, plan)
    except KeyboardInterrupt:  # as the command line ends by Ctrl-C
        points.reach("ended", code=130)
        os._exit(130)
    except httpx.TransportError as gone:  # and where Prefect's server went away
        points.reach("ended", code=PrefectAway.exit_code, said=repr(gone))
        os._exit(PrefectAway.exit_code)
    error = None if state.is_completed() else state.result(raise_on_failure=False)
    code = (NOTHING_NEW if state.name == "NothingNew" else 0) if error is None else getattr(error, "exit_code", 1)
    points.reach("ended", code=code, said=state.message if error is None else repr(error))
    os._exit(code)


def _flow(options: dict[str, Any], plan: Plan) -> State[Any]:
    if plan.resume:
        return resume_sync(options["collection"], return_state=True)
    return sync_deals(SyncOptions(**options), return_state=True)


def _set_clock(ahead: timedelta) -> None:
    """Let every module of dealcast read a clock that is ``ahead``; the machine's own is left to Prefect, whose leases its server judges."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + ahead

    for name, module in list(sys.modules.items()) if ahead else ():
        if name.partition(".")[0] == "flows" and getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]


class _Journal:
    """An append-only file of the points that runs came by, which outlives any of them."""

    def __init__(self, path: str, plan: Plan) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._plan, self._left = plan, plan.at

    def reach(self, point: str, **facts: Any) -> None:
        """Write the point down, and let happen what is planned for it."""
        if point == "before POST invocation" and self._plan.sandbox:
            facts["open"] = _open_uploads(self._plan.sandbox, facts["collection"])
        self._write(point, facts)
        if point == self._left:
            self._left = None
            self._act(self._plan.act)

    def _act(self, act: Act) -> None:
        self._write({"kill": "killed", "pause": "paused"}.get(act, act), {})
        if act == "full":
            vars(store)["write_whole"] = _full
        else:
            os.kill(os.getpid(), _SIGNALS[act])
            if act == "pause":
                self._write("continued", {})

    def _write(self, point: str, facts: Mapping[str, Any]) -> None:
        os.write(self._file, (json.dumps({"point": point, "run": self._plan.run, **facts}, default=str) + "\n").encode())


def _full(path: Path, *_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _open_uploads(sandbox: str, collection: str) -> list[str]:
    headers = {"Authorization": f"Token {os.environ['DEALCAST_TOKEN']}"}
    uploads = httpx.get(f"{sandbox}/_sandbox/uploads", headers=headers, trust_env=False, timeout=300).raise_for_status().json()
    return [each["id"] for each in uploads if each["collectionId"] == collection and each["status"] in ("queued", "in_progress")]


def _watch_all(journal: _Journal) -> None:
    _watch(journal, Ledger, "write", lambda _, entry: (_step(entry), _facts(entry)))
    _watch(journal, Ledger, "stream", lambda _, __, name, *___, **____: ("replace index" if name == _INDEX else "replace a file", {}))
    _watch(journal, Nostradamus, "upload", lambda *_, **__: ("POST append", {}))
    _watch(journal, Nostradamus, "delete_deals", lambda _, __, ids: ("DELETE deals", {"ids": sorted(ids)}))
    _watch(journal, Nostradamus, "upload_status", lambda *_, **__: ("poll append", {}))
    _watch(journal, Nostradamus, "invoke", lambda _, collection, **__: ("POST invocation", {"collection": collection}))
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
        "number": entry.number,
        "upload": entry.upload.state,
        "request": entry.upload.id,
        "reason": entry.upload.reason,
        "forecast": forecast_.state if forecast_ else None,
        "invocation": forecast_.id if forecast_ else None,
    }
