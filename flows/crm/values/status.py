"""The status of a deal, won, lost or open: flags and status columns first, stage names last, as the dialect says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from expectations.deals_schema import STATUSES
from expectations.disclosure import name_or_shape
from flows.crm.dialect import StatusRule
from flows.crm.header_match import Bound
from flows.crm.row_counts import RowCounts
from flows.crm.values.cells import by_value, counted, is_found, without
from flows.crm.values.stage_names import bare, outcome_named, stage_key
from flows.errors import ExportUnmappable, quoted

_UNKNOWN = "unknown"
_ENDED = ("closed_won", "closed_lost")

Cells = Callable[[str], pa.Array]
"""The cells of a field, by its name."""


@dataclass(frozen=True, slots=True)
class Status:
    """The status of each row, which rows are open, and how many rows each rule told.

    ``open_unsaid`` are the rows that are open only because nothing says otherwise; ``undecided`` counts their stages, ``stages`` the
    others' by what they say, ``contradictions`` the stages that say another outcome than the flags did.
    """

    column: pa.Array
    is_open: pa.Array
    told: Counter[str]
    open_unsaid: pa.Array
    undecided: Counter[str] = field(default_factory=Counter)
    stages: Counter[tuple[str, str]] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)


def tell_status(bound: Bound, raw: Cells, flag: Cells, rows: int) -> Status:
    """The status by the first rule that decides; a row that none decides keeps the text of the status column, so the gate names it.

    Raises ExportUnmappable, through ``flag``, for a flag that is filled and says neither yes nor no: no later rule decides in its place.
    """
    flags = {name: flag(name) for rule in bound.status_rules for name, _ in rule.flags}
    telling = _Telling(bound, raw, flags, rows)
    for rule in bound.status_rules:
        if telling.column.null_count == 0:
            break
        telling.by(rule)
    return telling.told_status()


class _Telling:
    """The status of a batch's rows while the rules are asked one after another."""

    def __init__(self, bound: Bound, raw: Cells, flags: dict[str, pa.Array], rows: int) -> None:
        self.column = pa.nulls(rows, pa.string())
        self._bound, self._raw, self._flags, self._rows = bound, raw, flags, rows
        self._told, self._undecided = Counter[str](), Counter[str]()
        self._unsaid = pa.repeat(False, rows)
        self._flagged: dict[tuple[str, bool], pa.Array] = {}
        self._texts: dict[str, pa.Array] = {}

    def by(self, rule: StatusRule) -> None:
        """Decide by one rule what those before have left."""
        left = pc.and_(self._holds(rule), pc.is_null(self.column))
        if not pc.any(left).as_py():
            return
        if rule.field is None:
            headers = ", ".join(self._bound.header_of(name) for name, _ in rule.flags)
            self._take(f"derived:{headers}", pa.scalar(rule.verdict, pa.string()), left)
            return
        header, text = self._bound.header_of(rule.field), self._text(rule.field)
        self._take("direct" if rule.words and not rule.known_names else f"derived:{header}", _said(rule, text), left)
        rest = rule.otherwise or rule.assume
        if rest is not None:
            left = pc.and_(pc.and_(left, pc.is_valid(text)), pc.is_null(self.column))
            self._undecided.update(counted(text.filter(left)))
            self._unsaid = pc.or_(self._unsaid, left)
            self._take(f"default:{rest}" if rule.otherwise else f"assumed:{header} names no outcome", pa.scalar(rest, pa.string()), left)

    def told_status(self) -> Status:
        """The result of all rules together."""
        column = pc.if_else(pc.equal(self.column, _UNKNOWN), None, self.column)
        for rule in self._bound.status_rules:
            if rule.field and not (rule.otherwise or rule.assume) and {status for _, status in rule.words} == set(STATUSES):
                column = pc.coalesce(column, self._raw(rule.field))
        is_open = pc.fill_null(pc.equal(column, "open"), False)
        stages, contradictions = self._by_stage(column)
        return Status(column, is_open, +self._told, pc.and_(is_open, self._unsaid), self._undecided, stages, contradictions)

    def _by_stage(self, column: pa.Array) -> tuple[Counter[tuple[str, str]], Counter[str]]:
        """The stages that say an outcome, and those of rows that ended otherwise, by the last rule that asks a stage."""
        rule = next((rule for rule in reversed(self._bound.status_rules) if rule.field and (rule.known_names or rule.assume)), None)
        stages, contradictions = Counter[tuple[str, str]](), Counter[str]()
        if rule is None or rule.field is None:
            return stages, contradictions
        header = self._bound.header_of(rule.field)
        both = pa.table({"stage": self._text(rule.field), "own": column})
        pairs = both.group_by(["stage", "own"], use_threads=False).aggregate([([], "count_all")])
        for stage, own, rows in zip(*(pairs[name].to_pylist() for name in ("stage", "own", "count_all")), strict=True):
            says = _verdict(rule, stage) if stage is not None else None
            if says:
                stages[stage, says] += rows
            if says in _ENDED and own not in {None, says}:
                contradictions[f"{header} says {says}, the flags or the status say {own}"] += rows
        return stages, contradictions

    def _holds(self, rule: StatusRule) -> pa.Array:
        holds = pa.repeat(True, self._rows)
        for flag in rule.flags:
            if flag not in self._flagged:
                name, wanted = flag
                self._flagged[flag] = pc.fill_null(pc.equal(self._flags[name], "true" if wanted else "false"), False)
            holds = pc.and_(holds, self._flagged[flag])
        return holds

    def _text(self, name: str) -> pa.Array:
        if name not in self._texts:
            self._texts[name] = without(self._raw(name), self._bound.dialect.nulls)
        return self._texts[name]

    def _take(self, label: str, decided: pa.Array | pa.Scalar, left: pa.Array) -> None:
        before = self.column.null_count
        self.column = pc.if_else(left, decided, self.column)
        self._told[label] += before - self.column.null_count


def _said(rule: StatusRule, text: pa.Array) -> pa.Array:
    return by_value(text, lambda value: _verdict(rule, value))


def _verdict(rule: StatusRule, text: str) -> str | None:
    words = dict(reversed(rule.words))
    said = words.get(stage_key(text.strip())) or (words.get(stage_key(bare(text))) if rule.known_names else None)
    if said:
        return said
    matched = {status for pattern, status in rule.patterns if is_found(pattern, text)}
    if len(matched) > 1:  # a name that says both says neither
        return None
    return matched.pop() if matched else outcome_named(text) if rule.known_names else None


_SHOWN = 40
_LARGEST_SHARE = 5
"""No more than one in so many statuses may be assumed."""


def refuse_assumed(bound: Bound, counts: RowCounts, location: str) -> None:
    """Raise ExportUnmappable where too many deals are open only because nothing says otherwise.

    That is more than a fifth of them, or any that should have closed before now in an export without one closed deal.
    """
    closed = counts.statuses["closed_won"] + counts.statuses["closed_lost"]
    many = counts.assumed_statuses * _LARGEST_SHARE > counts.deals
    if not many and (closed or not counts.overdue):
        return
    rule = next(rule for rule in reversed(bound.status_rules) if rule.otherwise or rule.assume)
    header = bound.header_of(str(rule.field))
    why = (
        f"{counts.assumed_statuses:,} of {counts.deals:,} deals are open only because nothing says otherwise"
        if many
        else f"not one deal is closed, and {counts.overdue:,} should have closed before now"
    )
    raise ExportUnmappable(
        f"{location}: {why}. These stages (column {header!r}) say no outcome:"
        + "".join(
            f"\n  {name_or_shape(stage)}: {rows:,} deal{'' if rows == 1 else 's'}" for stage, rows in counts.undecided.most_common(_SHOWN)
        )
        + f"\nSay which of them mean won and lost in a dialect of your own, and pass its path as --crm:\n\n{_to_paste(bound, rule, counts)}"
        "\n\nOr say --assume-open, if they are all open."
    )


def _to_paste(bound: Bound, last: StatusRule, counts: RowCounts) -> str:
    """The dialect's own rules, as far as the export has their fields, and the last one with the export's stages by outcome."""
    rules = []
    for rule in bound.status_rules:
        if rule is last:
            break
        lines = [f"flags = {{ {', '.join(f'{name} = {str(wanted).lower()}' for name, wanted in rule.flags)} }}"] if rule.flags else []
        lines += [f'is = "{rule.verdict}"'] if rule.verdict else [f"field = {quoted(rule.field or '')}", *_names_of(rule)]
        rules.append("\n".join(["[[status]]", *lines]))
    said = {status: [name for (name, says) in counts.stages if says == status and name_or_shape(name) == name] for status in STATUSES}
    said["open"] += [name for name, _ in counts.undecided.most_common(_SHOWN) if name_or_shape(name) == name]
    words = ", ".join(f"{status} = {_list(said[status])}" for status in ("closed_won", "closed_lost", "open"))
    rules.append(f"[[status]] # move each stage to where it belongs\nfield = {quoted(last.field or '')}\nwords = {{ {words} }}")
    return "\n\n".join([f'extends = "{bound.dialect.name}"', *rules])


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def _names_of(rule: StatusRule) -> list[str]:
    """The text that a rule gives for its field, as TOML."""
    lines = ["known_names = true"] if rule.known_names else []
    by_status = {status: [word for word, says in rule.words if says == status] for status in STATUSES}
    words = ", ".join(f"{status} = {_list(said)}" for status, said in by_status.items() if said)
    patterns = ", ".join(f"{status} = {quoted(pattern)}" for pattern, status in rule.patterns)
    return lines + ([f"words = {{ {words} }}"] if words else []) + ([f"patterns = {{ {patterns} }}"] if patterns else [])
