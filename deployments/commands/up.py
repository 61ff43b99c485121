"""``dealcast up``: a Prefect server with its UI, the sandbox, a worker and a scheduled sync on this machine; Ctrl-C ends it all."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import IO, Any

import httpx
import psutil
import yaml
from rich.markup import escape

from deployments.command_line.command_options import checked_options
from deployments.command_line.console import InertConsole
from deployments.command_line.temporary_server import server_protection, without_tokens
from deployments.commands.demo import CRM_TIMEZONE, TIMEZONE, todays_export
from deployments.sandbox import Sandbox, running
from flows.crm.files.location import fetch
from flows.errors import DealcastError, UsageError
from flows.nostradamus import Nostradamus
from flows.options import FROM_ENVIRONMENT, SyncOptions
from flows.runtime.atomic_files import private_descriptor, private_folder, require_own, write_whole
from flows.runtime.prefect_settings import SERVER_SETTINGS, refresh_prefect
from flows.settings import load_settings

HOST = "127.0.0.1"
COLLECTION = "acme-newbusiness"
POOL = "dealcast"

_FIRST_RUN = timedelta(seconds=15)
"""From scheduling to the first run: Prefect's scheduler looks every five seconds, when it is not busy."""

_PATIENCE = 90.0
"""Seconds for the server to answer, or for the deployments to be made."""

_GRACE = 8.0
"""Seconds a process gets to end by itself."""

_LOOK = 2.0

_PRIVATE = 0o077
"""The umask of all that runs: databases and logs are their owner's alone."""


class _Stopped(Exception):
    """Ctrl-C, SIGTERM or the terminal's end."""


def up(port: int, every: int, options: Mapping[str, Any]) -> None:
    """Run everything until Ctrl-C, SIGTERM or the terminal's end.

    Args:
        port: the Prefect UI's port on loopback; another free one is taken where it is not free.
        every: minutes between two scheduled syncs.
        options: of the command line, how to read an export of the user's own; without one, a shipped export is synced.

    Raises:
        UsageError: an option is wrong.
        ExportError: there is no such export.
        DealcastError: a part did not start, or ended by itself; the message names its log.
    """
    own = own_sync(options)
    stop = threading.Event()

    def on_signal(_: int, __: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with suppress(_Stopped), ExitStack() as stack:
            require_own(home := load_settings().home_folder.absolute())
            os.umask(_PRIVATE)
            Laptop(private_folder(home), stop, stack).run(_free(port), every, own)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Laptop:
    """The parts that run, each of which the exit stack ends."""

    def __init__(self, home: Path, stop: threading.Event, stack: ExitStack) -> None:
        self.home, self.stop, self.stack = home, stop, stack
        self.console = InertConsole(highlight=False, soft_wrap=True)
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, port: int, every: int, own: SyncOptions | None) -> None:
        """Start part after part, then show what runs until told to stop."""
        self.say("up", f"everything runs on this machine and keeps its state in {self.home}; Ctrl-C ends it all")
        sandbox = self.stack.enter_context(running(self.home / "sandbox"))
        self.say("sandbox", f"{sandbox.url}/docs")
        self.say(
            "token",
            f"{sandbox.token}   a command in another terminal wants it as DEALCAST_TOKEN, and {sandbox.url} as DEALCAST_PLATFORM_URL",
        )
        url = f"http://{HOST}:{port}"
        environment = _environment(self.home, url, sandbox)
        os.environ.update(environment)
        refresh_prefect()
        synced = own or _shipped_sync(self.home)
        collection = _collection(sandbox, synced.collection, synced.timezone or "UTC")
        self.start("server", ["server", "start", "--host", HOST, "--port", str(port)], environment)
        self.until("server", lambda: serves(self.children["server"], url))
        self.say("runs", f"{url}/v2/runs   in Prefect's UI, which asks once for the secret:")
        self.say("secret", f"{environment['PREFECT_API_AUTH_STRING']}   a command in another terminal wants it as PREFECT_API_AUTH_STRING")
        _tidy()
        self.start("worker", ["worker", "start", "--pool", POOL, "--type", "process", "--name", "this machine"], environment)
        self.deploy(deployments(synced.model_copy(update={"collection": collection})), environment)
        self.say("deployed", f"{url}/v2/deployments")
        schedule(every)
        self.say("schedule", f"every {every} minutes; the first run begins in some {_FIRST_RUN.seconds} seconds")
        self.say("logs", f"{self.home / 'logs'}")
        self.watch(url, collection)

    def say(self, part: str, text: str) -> None:
        """One line on stdout."""
        self.console.print(f"[bold cyan]{part:>9}[/]  {escape(text)}")

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a Prefect command with a log of its own."""
        log = self.stack.enter_context(_log(self.home / "logs" / f"{name}.log"))
        child = self.stack.enter_context(_process([sys.executable, "-P", "-m", "prefect", *command], environment, log))
        self.children[name] = child
        return child

    def deploy(self, document: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Make the deployments from the shipped `prefect.yaml`, with the demo's parameters."""
        from deployments.commands.automations import install  # noqa: PLC0415 - prefect reads its settings when it is imported

        install(None, None)
        place = self.home / "prefect.yaml"
        write_whole(place, [yaml.safe_dump(document, sort_keys=False).encode()])
        deploying = self.start("deploy", ["--no-prompt", "deploy", "--all", "--prefect-file", str(place)], environment)
        self.until("deploy", lambda: deploying.poll() is not None)
        if deploying.returncode:
            raise self.broken("deploy")
        del self.children["deploy"]

    def until(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait for a part to be ready."""
        begun = time.monotonic()
        while not ready():
            if self.stop.wait(0.2):
                raise _Stopped
            if self.children[name].poll() or time.monotonic() - begun > _PATIENCE:
                raise self.broken(name)

    def watch(self, url: str, collection: str) -> None:
        """Say how each run ended, and once where the forecast is, until told to stop."""
        from flows.ui.artifacts import artifact_key  # noqa: PLC0415 - prefect reads its settings when it is imported

        seen: set[str] = set()
        while not self.stop.wait(_LOOK):
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise self.broken(name)
            for run in _ended(url):
                if run["id"] not in seen:
                    seen.add(run["id"])
                    self.say("run", f"{run['name']}   {run['state']['name']}   {url}/v2/runs/flow-run/{run['id']}")
                    if len(seen) == 1 and run["state"]["type"] == "COMPLETED":
                        self.say("forecast", f"{url}/v2/artifacts/key/{artifact_key('forecast', collection)}")
        self.say("down", "ending the worker, the server and the sandbox")

    def broken(self, name: str) -> DealcastError:
        """The error of a part that did not start, or ended."""
        return DealcastError(f"The {name} did not run as it should: see {self.home / 'logs' / name}.log")


def _shipped_sync(home: Path) -> SyncOptions:
    export, first_month = todays_export(home)
    return SyncOptions(
        export=str(export), crm="hubspot", crm_timezone=CRM_TIMEZONE, timezone=TIMEZONE, collection=COLLECTION, first_month=first_month
    )


def own_sync(options: Mapping[str, Any]) -> SyncOptions | None:
    """The sync of the user's own export, to a collection of the file's name; None where none is given.

    Raises:
        UsageError: an option is wrong, says how to read an export and none is given, or no dialect is said.
        ExportError: there is no such export.
    """
    said = {name: value for name, value in options.items() if value not in (None, False, ())}
    if "export" not in said:
        if said:
            named = ", ".join("--" + name.replace("_", "-") for name in said)
            raise UsageError(f"{named}: of which export? dealcast up EXPORT --crm NAME")
        return None
    if "crm" not in said:
        raise UsageError("Say the export's dialect, --crm NAME: `dealcast crms EXPORT` says which one fits.")
    location = said["export"]
    if "://" not in location and not location.startswith(FROM_ENVIRONMENT):
        location = str(Path(location).expanduser().absolute())
        fetch(location).close()  # that there is none is told before anything starts
    name = re.sub(r"[^A-Za-z0-9]+", "-", Path(location).name.partition(".")[0]).strip("-")
    return checked_options("up", {**said, "export": location, "collection": name or "deals"})


def deployments(synced: SyncOptions) -> dict[str, Any]:
    """The shipped `prefect.yaml` with this sync's export and collection; of its schedules the weekly resync's."""
    document: dict[str, Any] = yaml.safe_load((files("deployments") / "prefect.yaml").read_text(encoding="utf-8"))
    own = synced.model_dump(mode="json", exclude_unset=True)
    ageless = {"max_age": None}  # an export that is there once grows older, and that is no news
    for deployment in document["deployments"]:
        parameters = deployment["parameters"]
        if "options" in parameters:
            parameters["options"] = {**parameters["options"], **own, **ageless}
        elif "export" in parameters:
            deployment["parameters"] = {**parameters, **own, **ageless}
        elif "collection" in parameters:
            parameters["collection"] = synced.collection
        if deployment["name"] != "weekly-resync":
            deployment["schedules"] = []
    return document


def schedule(every: int) -> None:
    """Let ``incremental`` run every few minutes, the first time in a moment: made only now, so that no first time is missed.

    By Prefect's own client, which asks again where a server that is just starting answers 503.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - prefect reads its settings when it is imported
    from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate  # noqa: PLC0415 - as above
    from prefect.client.schemas.schedules import IntervalSchedule  # noqa: PLC0415 - as above

    clock = IntervalSchedule(interval=timedelta(minutes=every), anchor_date=datetime.now(UTC) + _FIRST_RUN, timezone=TIMEZONE)
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name("sync-deals/incremental")
        client.update_deployment(found.id, DeploymentUpdate(schedules=[DeploymentScheduleUpdate(schedule=clock, active=True)]))


def _environment(home: Path, url: str, sandbox: Sandbox) -> dict[str, str]:
    """The environment that the parts run with: all of their state in the home, and the sandbox as the platform."""
    for name in ("DEALCAST_LEDGER", "DEALCAST_TOKEN", "DEALCAST_TOKEN_BLOCK", "DEALCAST_FOLDER"):
        os.environ.pop(name, None)
    token = home / "sandbox" / "token"
    write_whole(token, [sandbox.token.encode()])
    return {
        **SERVER_SETTINGS,
        **without_tokens(os.environ),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_CLI_PROMPT": "false",
        "DEALCAST_HOME": str(home),
        "DEALCAST_PLATFORM_URL": sandbox.url,
        "DEALCAST_TOKEN_FILE": str(token),
        "PYTHONSAFEPATH": "1",  # no module of the working directory stands in for a package's
        **server_protection(url),
    }


def _collection(sandbox: Sandbox, name: str, timezone: str) -> str:
    """The id of the collection of that name, made where it is missing."""
    with Nostradamus(sandbox.url, sandbox.token) as platform:
        held = {collection.name: collection.id for collection in platform.collections()}
        return held.get(name) or platform.create_collection(name, timezone).id


def _tidy() -> None:
    """Make the work pool; forget scheduled runs that came due while nothing ran, since one is worth as much as all of them."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - prefect reads its settings when it is imported
    from prefect.client.schemas.actions import WorkPoolCreate  # noqa: PLC0415 - as above
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType  # noqa: PLC0415 - as above
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415 - as above

    scheduled = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        for run in client.read_flow_runs(flow_run_filter=scheduled):
            client.delete_flow_run(run.id)


def _ended(url: str) -> list[dict[str, Any]]:
    """The runs that ended, oldest first; none while the server is too busy to say."""
    try:
        answer = httpx.post(
            f"{url}/api/flow_runs/filter",
            json={"sort": "END_TIME_DESC", "limit": 20, "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}},
            headers=_authorization(),
            trust_env=False,
        )
        answer.raise_for_status()
    except httpx.HTTPError:
        return []
    return list(reversed(answer.json()))


def _authorization() -> dict[str, str]:
    """The header that Prefect's server asks for (basic, as its own client sends it)."""
    secret = os.environ["PREFECT_API_AUTH_STRING"]
    return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}


def serves(child: subprocess.Popen[bytes], url: str) -> bool:
    """True once Prefect answers at ``url``, and it is the child or a process of its that listens there: another would get the secret."""
    try:
        root = psutil.Process(child.pid)
        listening = [each for process in (root, *root.children(recursive=True)) for each in process.net_connections("tcp")]
        ours = any(each.status == psutil.CONN_LISTEN and each.laddr.port == httpx.URL(url).port for each in listening)
        return ours and httpx.get(f"{url}/api/health", trust_env=False).is_success
    except (psutil.Error, httpx.HTTPError):
        return False


def _free(port: int) -> int:
    """``port`` if nothing listens there, else a free one."""
    for candidate in (port, 0):
        with suppress(OSError), socket.create_server((HOST, candidate)) as listening:
            return int(listening.getsockname()[1])
    raise UsageError(f"No port is free on {HOST}.")


@contextmanager
def _log(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "wb", opener=private_descriptor) as log:
        yield log


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, so that Ctrl-C reaches us alone; at the end it goes, with all that it started."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter and a fixed command
        command,
        env=dict(environment),
        cwd=environment["DEALCAST_HOME"],  # not where the command was given: a `.env` or `prefect.toml` there is nobody's settings
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=_PRIVATE,
    ) as child:
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and its descendants: first asked to, then made to."""
    try:
        root = psutil.Process(child.pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(family, timeout=_GRACE)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE)
