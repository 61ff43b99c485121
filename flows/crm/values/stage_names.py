"""The outcome of a deal by the name of its stage: the whole name decides, or nothing does."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib import resources

_NUMBERED = re.compile(r"^[(\[]?(?:stage |phase |s)?[0-9]{1,3}[)\].:_\s\u2013-]+")
_PIPELINE = re.compile(r"\s*\([^()]*\bpipeline\)$")
_PER_CENT = {"closed_won": re.compile(r"\(?\b100\s?%\)?"), "closed_lost": re.compile(r"\(?(?<![0-9])0\s?%\)?")}
_SEPARATORS = re.compile(r"[\s_./,:&\u2013\u2014-]+")
_LOST_FOR_A_REASON = re.compile(r"^(?:close[d]?[\s_:\u2013-]*)?lost(?:\s*[-\u2013\u2014:/(,]|\s+(?:to|due|because)\b).*")
_YET_NOT = re.compile(
    r"\b(?:won|win|re-?(?:open|activ|engag|cycl|vers|viv|cover|gain|start|tr[iy]|negoti|contact|sum|consider|claim|kindl)\w*|nurtur\w*|open"
    r"|back|again|hold|pend\w*|paus\w*|appeal\w*|alive|hot|tempor\w*|negotiat\w*|confirm\w*)\b|\?|->|\u2192"
)
"""A reason that says that the deal may go on."""

_BETWEEN = r"[\s_./,:;&+()\[\]!\ufe0f\u2013\u2014-]"

_LONGEST = 500
"""Characters of a stage's name: a longer text is none, and patterns take long over it."""


def stage_key(name: str) -> str:
    """A stage's name as names are compared: without case, blanks and separators."""
    return _SEPARATORS.sub("", name.casefold()) or name.casefold()


def bare(name: str) -> str:
    """The name without a number in front of it and a pipeline behind it."""
    return _NUMBERED.sub("", _PIPELINE.sub("", name.strip().casefold().replace("\u0307", "")))  # a dot that a Turkish capital leaves behind


@lru_cache(maxsize=1000)
def outcome_named(name: str) -> str | None:
    """`closed_won` or `closed_lost` where the whole name says so; None for any other, and for "Closed Lost - won back"."""
    if len(name) > _LONGEST:
        return None
    for status, pattern in _known().items():
        if pattern.fullmatch(bare(_PER_CENT[status].sub("", name.strip()))):
            return status
    text = bare(name)
    found = _LOST_FOR_A_REASON.match(text)
    return "closed_lost" if found and not _YET_NOT.search(text.partition("lost")[2]) else None


@cache
def _known() -> dict[str, re.Pattern[str]]:
    said = tomllib.loads((resources.files("flows.crm.values") / "words" / "outcomes.toml").read_text("utf-8"))
    between = rf"(?:{_BETWEEN}|\b(?:{'|'.join(said['and'])})\b)*"
    patterns = {}
    for status, signs in said["signs"].items():
        names = "|".join(re.escape(name).replace(r"\ ", f"{_BETWEEN}*") for name in said[status])
        beside = f"(?:(?:{'|'.join((*said['beside'], *signs))}){between})*"
        patterns[status] = re.compile(f"{between}{beside}(?:{names}){between}{beside}")
    return patterns
