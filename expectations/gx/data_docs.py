"""Data Docs of a validation result: Great Expectations' own page in one file, readable without a network.

Their page fetches its style, icons and scripts from half a dozen hosts, and without them is bare text whose filter does not
work. What it needs of them stands in ``data_docs.css`` and ``_FILTER``.
"""

from __future__ import annotations

import re
from copy import deepcopy
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView

_FETCHED = re.compile(
    r"""<link\b[^>]*\bhref="(?:https?:|\.\./)[^>]*>|<script\b[^>]*\bsrc="https?:[^>]*></script>|<img\b[^>]*\bsrc="https?:[^>]*>|<footer>.*?</footer>""",
    re.DOTALL,
)
_BACKGROUND = re.compile(r"background:\s*url\('https?:[^;]*;")
_LINK_AWAY = re.compile(r"""<a href="(?:\.\./)+[^"]*"\s*>(.*?)</a>""", re.DOTALL)
_WALKTHROUGH = re.compile(r"<script>\s*try \{.*?ge-walkthrough-modal.*?</script>", re.DOTALL)

_FILTER = """
function show(good) {
  for (const cell of document.querySelectorAll("td.hide-succeeded-validation-target-child")) cell.parentElement.hidden = !good;
  for (const block of document.querySelectorAll(".hide-succeeded-validations-column-section-target-child")) {
    const section = block.closest(".ge-section");
    section.hidden = !good;
    document.querySelector(`a[href="#${section.id}"]`).parentElement.hidden = !good;
  }
}
showAllValidations = () => show(true);
hideSucceededValidations = () => show(false);
"""


def write_docs(result: ExpectationSuiteValidationResult, directory: Path) -> Path:
    """Write the page as ``index.html`` into ``directory``, made if need be, and return its path.

    The page shows samples of the deals themselves, so its owner alone may read it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    page = directory / "index.html"
    page.unlink(missing_ok=True)  # it may be anybody's to read, or a link elsewhere
    page.touch(mode=0o600, exist_ok=False)
    page.write_text(_self_contained(_render(result)), encoding="utf-8")
    return page


def _render(result: ExpectationSuiteValidationResult) -> str:
    harmless = deepcopy(result)
    for outcome in harmless.results:
        outcome.result = _escaped(outcome.result)
    renderer = ValidationResultsPageRenderer(run_info_at_end=True)
    view = DefaultJinjaPageView()
    return str(view.render(renderer.render(harmless)))  # type: ignore[no-untyped-call]  # theirs is untyped


def _escaped(found: Any) -> Any:
    """Their templates print values as they are: a deal named ``<script>`` would run."""
    if isinstance(found, dict):
        return {key: _escaped(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_escaped(value) for value in found]
    return escape(found) if isinstance(found, str) else found


def _self_contained(html: str) -> str:
    for fetched in (_FETCHED, _BACKGROUND, _WALKTHROUGH):
        html = fetched.sub("", html)
    html = _LINK_AWAY.sub(r"\1", html)
    style = files("expectations.gx").joinpath("data_docs.css").read_text(encoding="utf-8")
    html = html.replace("</head>", f"<style>{style}</style></head>", 1)
    return html.replace("</body>", f"<script>{_FILTER}</script></body>", 1)
