"""Write `deployments/screenshots`: what a person sees of a real `dealcast up`, in Chromium. Run `make screenshots`.

An export is synced, changed and synced again, then broken: the run list, the run with its graph, the forecast beside the one before it,
the failed run's report, and the notice of it as a chat shows it.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.conftest import HANG, wait_for
from tests.deployments.commands.test_automations import EXPORT, receiver
from tests.deployments.test_browser import ALONE, CHROMIUM

FOLDER = Path(__file__).resolve().parents[1] / "deployments" / "screenshots"
BIGGEST = 150_000
"""Bytes of a picture."""

_COLOURS = 128
_NOTICE = """<body style="margin:0;padding:24px;font:15px/1.46 Lato,Arial,sans-serif;color:#1d1c1d;background:#fff;width:820px">
<div style="display:flex;gap:12px"><div style="width:40px;height:40px;border-radius:6px;background:#2563eb;color:#fff;font-weight:700;
display:flex;align-items:center;justify-content:center">d</div><div><b>dealcast-alerts</b>
<span style="background:#eee;color:#616061;font-size:11px;padding:1px 4px;border-radius:3px">APP</span>
<div style="white-space:pre-wrap;overflow-wrap:anywhere;margin-top:4px">{text}</div></div></div></body>"""


@contextmanager
def everything(export: Path, home: Path) -> Iterator[tuple[str, str]]:
    """`dealcast up` of the export, from its first completed run on; yields the server's address and its secret."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DEALCAST_", "PREFECT_"))}
    options = [
        "--crm",
        "hubspot",
        "--crm-timezone",
        "Europe/Rome",
        "--timezone",
        "Europe/Rome",
        "--first-month",
        "2026-11",
        "--every",
        "600",
    ]
    command = [str(Path(sys.executable).with_name("dealcast")), "up", str(export), *options]
    environment["DEALCAST_HOME"] = str(home)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        said: dict[str, str] = {}

        def listen() -> None:
            for line in child.stdout or ():
                sys.stdout.write(line)
                part, _, words = line.strip().partition(" ")
                said.setdefault(part, words.split()[0] if words.strip() else "")

        threading.Thread(target=listen, daemon=True).start()
        try:
            wait_for(lambda: said.get("forecast"), "the first forecast")
            yield said["runs"].partition("/v2/")[0], said["secret"]
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(HANG)


def run(ask: Callable[..., Any]) -> dict[str, Any]:
    """One more run of the scheduled deployment, once it has ended."""
    found = ask("GET", "deployments/name/sync-deals/incremental")
    made = ask("POST", f"deployments/{found['id']}/create_flow_run", {})

    def ended() -> dict[str, Any] | None:
        now: dict[str, Any] = ask("GET", f"flow_runs/{made['id']}")
        return now if now["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    return wait_for(ended, "the run to end")


def rewrite(export: Path, amount: Callable[[int, str], str]) -> None:
    """Change the export's amounts, by row and amount."""
    with export.open(newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    for number, row in enumerate(rows):
        for column in ("Amount", "Amount in company currency"):
            row[column] = amount(number, row[column])
    with export.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def shoot(page: Page, name: str, **options: Any) -> None:
    """Keep what the page shows, in few colours."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # the graph moves into its place
    small = Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB").quantize(_COLOURS)
    place = FOLDER / f"{name}.png"
    small.save(place, optimize=True)
    assert place.stat().st_size <= BIGGEST, f"{place} has {place.stat().st_size} bytes"
    print(place, place.stat().st_size)


def main() -> None:
    """Make all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, receiver() as (hook, texts):
        export = Path(place, "acme.csv")
        shutil.copy(EXPORT, export)
        with everything(export, Path(place, "home")) as (url, secret):
            basic = {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}

            def ask(method: str, path: str, body: Any = None) -> Any:
                answer = httpx.request(method, f"{url}/api/{path}", json=body, headers=basic, trust_env=False, timeout=HANG)
                return answer.raise_for_status().json()

            environment = {**os.environ, "PREFECT_API_URL": f"{url}/api", "PREFECT_API_AUTH_STRING": secret, "PREFECT_HOME": place}
            dealcast = str(Path(sys.executable).with_name("dealcast"))
            subprocess.run([dealcast, "automations", "--webhook", hook], env=environment, check=True)
            rewrite(export, lambda number, amount: f"{float(amount) * 1.4:.2f}" if amount and number % 12 == 0 else amount)
            good = run(ask)
            rewrite(export, lambda number, amount: "-250.00" if number in (7, 90) else amount)
            bad = run(ask)
            notice = wait_for(lambda: next((text for text in texts if "failing" in text), None), "the notice")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
                page = browser.new_page(viewport={"width": 1280, "height": 860})
                pictures(page, url, secret, ask, good, bad, notice)
                browser.close()


def pictures(page: Page, url: str, secret: str, ask: Callable[..., Any], good: dict[str, Any], bad: dict[str, Any], notice: str) -> None:
    """Look at each page as a person does."""

    def shown(run_id: str, kind: str) -> str:
        found = ask("POST", "artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 100})
        return next(f"{url}/v2/artifacts/artifact/{each['id']}" for each in found if each["key"].startswith(kind))

    page.goto(f"{url}/v2/runs")
    page.locator("input[type=password]").fill(secret)
    page.keyboard.press("Enter")
    page.get_by_text(bad["name"]).first.wait_for(timeout=HANG * 1000)
    shoot(page, "run-list")
    page.goto(f"{url}/v2/runs/flow-run/{good['id']}")
    page.get_by_text(good["name"]).first.wait_for(timeout=HANG * 1000)
    shoot(page, "run")
    page.goto(shown(good["id"], "forecast"))
    page.get_by_role("img", name="Revenue by month").wait_for(timeout=HANG * 1000)
    shoot(page, "forecast")
    page.goto(shown(bad["id"], "report"))
    page.get_by_text("What to do").first.wait_for(timeout=HANG * 1000)
    shoot(page, "failed-report")
    page.set_viewport_size({"width": 880, "height": 320})
    page.set_content(_NOTICE.format(text=escape(notice)))
    shoot(page, "notice")


if __name__ == "__main__":
    main()
