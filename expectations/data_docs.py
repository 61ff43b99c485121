"""Data Docs of a validation result: Great Expectations' own pages, readable without a network."""

from __future__ import annotations

from pathlib import Path

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView


def write_docs(result: ExpectationSuiteValidationResult, directory: Path) -> Path:
    """Write the page and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / "index.html"
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    page.write_text(str(DefaultJinjaPageView().render(document)), encoding="utf-8")
    return page
