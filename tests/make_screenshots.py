"""Write `deployments/screenshots`: what a person sees of a real `dealcast up`, in Chromium. Run `make screenshots`.

An export is synced, synced again as it is, changed and synced, then broken: the run list, the run with its graph, the forecast beside the
one before it, the failed run's report, and the notice of it as a chat shows it. Prefect's menu is cut off, and the temporary folder reads
as `/srv/dealcast`; the rest is as the pages show it.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import re
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
from playwright.sync_api import Locator, Page

from deployments.commands.demo import todays_export
from tests.chromium import open_page
from tests.conftest import HANG, wait_for
from tests.deployments.commands.test_automations import receiver

FOLDER = Path(__file__).resolve().parents[1] / "deployments" / "screenshots"
BIGGEST = 150_000
"""Bytes of a picture."""

_COLOURS = 256
_HOME, _WIDTH = "/srv/dealcast", 1330
_RENAME = """([from, to]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to)
}"""
_NOTICE = """<body style="margin:0;padding:24px;font:15px/1.46 Lato,Arial,sans-serif;color:#1d1c1d;background:#fff;width:820px">
<div style="display:flex;gap:12px"><div style="flex:none;width:40px;height:40px;border-radius:6px;background:#2563eb;color:#fff;
font-weight:700;display:flex;align-items:center;justify-content:center">d</div><div><b>dealcast-alerts</b>
<span style="background:#eee;color:#616061;font-size:11px;padding:1px 4px;border-radius:3px">APP</span>
<div style="white-space:pre-wrap;overflow-wrap:anywhere;margin-top:4px">{text}</div></div></div></body>"""


@contextmanager
def everything(export: Path, first_month: str, home: Path) -> Iterator[tuple[str, str]]:
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
        first_month,
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


def grow(number: int, row: dict[str, str]) -> None:
    """Raise the amount of every twelfth deal."""
    for column in ("Amount", "Amount in company currency"):
        if number % 12 == 0 and row[column]:
            row[column] = f"{float(row[column]) * 1.4:.2f}"


def spoil(number: int, row: dict[str, str]) -> None:
    """Take the day of creation, which the platform requires, from two deals."""
    if number in (7, 90):
        row["Create Date"] = ""


def rewrite(export: Path, change: Callable[[int, dict[str, str]], None]) -> None:
    """Change the export's rows."""
    with export.open(newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    for number, row in enumerate(rows):
        change(number, row)
    with export.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def shoot(page: Page, name: str, place: str, height: int, top: float = 0, width: int = _WIDTH) -> None:
    """Keep what the page shows beside Prefect's menu, ``height`` pixels from ``top`` on."""
    page.set_viewport_size({"width": _WIDTH, "height": int(top) + height})
    page.wait_for_load_state("networkidle")
    page.evaluate(_RENAME, [place, _HOME])
    page.wait_for_timeout(2000)  # the graph moves into its place
    main = page.locator("main").last.bounding_box() if page.locator("main").count() else None
    left = main["x"] if main else 0
    taken = page.screenshot(clip={"x": left, "y": top, "width": width - left, "height": height})
    file = FOLDER / f"{name}.png"
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    image.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size <= BIGGEST, f"{file} has {file.stat().st_size} bytes"
    print(file, file.stat().st_size)


def main() -> None:
    """Make all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, receiver() as (hook, texts):
        made, first_month = todays_export(Path(place))
        export = made.rename(Path(place, "acme.csv"))
        with everything(export, first_month, Path(place, "home")) as (url, secret):
            basic = {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}

            def ask(method: str, path: str, body: Any = None) -> Any:
                answer = httpx.request(method, f"{url}/api/{path}", json=body, headers=basic, trust_env=False, timeout=HANG)
                return answer.raise_for_status().json()

            environment = {**os.environ, "PREFECT_API_URL": f"{url}/api", "PREFECT_API_AUTH_STRING": secret, "PREFECT_HOME": place}
            dealcast = str(Path(sys.executable).with_name("dealcast"))
            subprocess.run([dealcast, "automations", "--webhook", hook], env=environment, check=True)
            run(ask)
            rewrite(export, grow)
            good = run(ask)
            rewrite(export, spoil)
            bad = run(ask)
            notice = wait_for(lambda: next((text for text in texts if "failing" in text), None), "the notice")
            with open_page(viewport={"width": _WIDTH, "height": 900}, device_scale_factor=1.25) as page:
                pictures(page, f"{place}/home", url, secret, ask, good, bad, notice)


def plainly(page: Page, graph: Locator) -> None:
    """Draw the tasks one below the other in their order, without the artifacts, whose names hide them."""
    page.wait_for_timeout(2000)  # the graph moves into its place
    box = graph.bounding_box()
    assert box is not None
    gear = (box["x"] + box["width"] - 26, box["y"] + box["height"] - 24)
    page.mouse.click(*gear)
    page.get_by_text("Temporal sequence", exact=True).click()
    page.get_by_text("Hide artifacts", exact=True).click()
    page.mouse.click(*gear)


def pictures(
    page: Page, place: str, url: str, secret: str, ask: Callable[..., Any], good: dict[str, Any], bad: dict[str, Any], notice: str
) -> None:
    """Look at each page as a person does."""

    def shown(run_id: str, kind: str) -> str:
        found = ask("POST", "artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 100})
        return next(f"{url}/v2/artifacts/artifact/{each['id']}" for each in found if each["key"].startswith(kind))

    page.goto(f"{url}/v2/runs")
    page.locator("input[type=password]").fill(secret)
    page.keyboard.press("Enter")
    page.get_by_text(bad["name"]).first.wait_for()
    count = page.get_by_text(re.compile(r"^\d+ Flow runs$")).bounding_box()
    shoot(page, "run-list", place, 720, count["y"] - 16 if count else 0)
    page.goto(f"{url}/v2/runs/flow-run/{good['id']}")
    page.get_by_text("Artifacts", exact=True).last.click()
    graph = page.locator("canvas").first
    graph.wait_for()
    plainly(page, graph)
    shoot(page, "run", place, 760)
    page.goto(shown(good["id"], "forecast"))
    page.get_by_role("img", name="Revenue by month").wait_for()
    shoot(page, "forecast", place, 860)
    page.goto(shown(bad["id"], "report"))
    page.get_by_text("What to do").first.wait_for()
    shoot(page, "failed-report", place, 1120)
    page.set_content(_NOTICE.format(text=escape(notice.replace(place, _HOME))))
    shoot(page, "notice", place, 230, width=900)


if __name__ == "__main__":
    main()
