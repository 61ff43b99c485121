"""A command that reads a remote export and is ended by a signal, at whatever moment, leaves nothing of it once the next command has run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.conftest import HANG, PATIENT_START, sampled, wait_for
from tests.prefect_database import home_with_database

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox
    from tests.conftest import WriteDeals

DEALCAST = str(Path(sys.executable).with_name("dealcast"))
PERSON = "Giovanna Canary"


@dataclass
class Remote:
    """An export at a URL, which waits before its first byte and in its middle until it is told to go on, and how far it is."""

    content: bytes
    url: str = ""
    seen: set[str] = field(default_factory=set)
    begin: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def let_go(self) -> None:
        """Wait no more."""
        self.begin.set()
        self.go_on.set()


@pytest.fixture
def remote(write_deals: WriteDeals) -> Iterator[Remote]:
    served = Remote(write_deals(2000, description=PERSON).read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            served.seen.add("asked")
            served.begin.wait(HANG)
            with suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", str(len(served.content)))
                self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            middle = len(served.content) // 2
            with suppress(OSError):
                self.wfile.write(served.content[:middle])
                self.wfile.flush()
                served.go_on.wait(HANG)
                self.wfile.write(served.content[middle:])
                served.seen.add("whole")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served.url = f"http://127.0.0.1:{server.server_port}/deals.csv"
        yield served
        served.let_go()
        server.shutdown()


@dataclass(frozen=True)
class Scene:
    """What can be seen of a command from outside."""

    remote: Remote
    sandbox: Sandbox
    place: Path

    def asked(self, method: str, path: str) -> bool:
        """True once the platform was asked that."""
        return bool(self.sandbox.control("GET", f"requests?method={method}&path={path}"))

    def staged(self) -> list[Path]:
        """What lies in the staging."""
        return list((self.place / "home" / "staging").glob("*"))

    def having_it(self) -> list[Path]:
        """The files that hold the export's text, of those that are still there when they are read."""
        found = []
        for path in self.place.rglob("*"):
            with suppress(OSError):
                if PERSON.encode() in path.read_bytes():
                    found.append(path)
        return found


HALF = "half of it is fetched"

READING: dict[str, Callable[[Scene], object]] = {
    HALF: Scene.having_it,
    "it has begun": lambda _: True,
    "it is asked for": lambda scene: "asked" in scene.remote.seen,
    "it is fetched": lambda scene: "whole" in scene.remote.seen,
}
SENDING: dict[str, Callable[[Scene], object]] = {
    "it is staged": lambda scene: list((scene.place / "home" / "staging").glob("*/*.arrow")),
    "the platform is asked": lambda scene: scene.asked("GET", "*"),
    "it is sent": lambda scene: scene.asked("POST", "*/append"),
    "it is waited for": lambda scene: scene.asked("GET", "*/append/*"),
    "the forecast is invoked": lambda scene: scene.asked("POST", "*/invocation"),
    "the forecast is waited for": lambda scene: scene.asked("GET", "*/invocation/*"),
}
"""Ten moments, by what can be seen of them from outside."""

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]

CASES = [
    (command, moment, number)
    for command, moments in {"sync": READING | SENDING, "check": READING, "crms": READING}.items()
    for moment, number in product(moments, SIGNALS)
]
OFTEN = [("sync", HALF, signal.SIGKILL), ("crms", HALF, signal.SIGHUP)]


@pytest.mark.parametrize(("command", "moment", "number"), sampled([*OFTEN, *(case for case in CASES if case not in OFTEN)]))
def test_nothing_of_a_remote_export_is_left(
    command: str, moment: str, number: signal.Signals, remote: Remote, sandbox: Sandbox, collection: str, tmp_path: Path
) -> None:
    """Nor has a process that it starts the token in its environment."""
    scene = Scene(remote, sandbox, tmp_path / "place")
    environment = _surroundings(scene)
    sandbox.control("POST", "faults", {"kind": "stuck", "method": "POST", "path": "*/invocation" if "forecast" in moment else "*/append"})
    sandbox.control("DELETE", "requests")
    if moment != "it is asked for":
        remote.begin.set()
    if moment != HALF:
        remote.go_on.set()
    options = ["--collection", collection] if command == "sync" else []
    with (tmp_path / "said").open("w+") as said:
        ended = [DEALCAST, command, remote.url, "--crm", "canonical", *options]
        with subprocess.Popen(ended, env=environment, stdout=said, stderr=said) as child:
            wait_for(lambda: (READING | SENDING)[moment](scene) or child.poll() is not None, moment)
            family = psutil.Process(child.pid).children(recursive=True) if child.poll() is None else []
            assert [each for each in family if sandbox.token in _environment(each).values()] == []
            child.send_signal(number)
            code = child.wait(HANG)
    remote.let_go()
    _, left = psutil.wait_procs(family, timeout=HANG)
    assert not left
    assert code or (command != "sync" and moment == "it is fetched"), "what has all of an export may end before it is told to"
    if (moment, number) == (HALF, signal.SIGKILL):
        assert scene.having_it(), "the search below finds what a killed command leaves"
    subprocess.run([DEALCAST, "crms"], env=environment, stdout=subprocess.DEVNULL, check=True)
    assert (scene.having_it(), scene.staged()) == ([], [])


def _surroundings(scene: Scene) -> dict[str, str]:
    """An environment in which all that a command writes lies in the scene's place."""
    (temporary := scene.place / "tmp").mkdir(parents=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DEALCAST_"))}
    return own | {
        "DEALCAST_HOME": str(scene.place / "home"),
        "DEALCAST_PLATFORM_URL": scene.sandbox.url,
        "DEALCAST_TOKEN": scene.sandbox.token,
        "PREFECT_HOME": str(home_with_database(scene.place / "prefect")),
        **PATIENT_START,
        "TMPDIR": str(temporary),
    }


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:  # it has just ended
        return {}
