"""The schemas of an OpenAPI document: references followed, alternatives merged, and what they take or have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from flows.nostradamus.collection_page import PAGE_KEYS

Verdict = Literal["agrees", "differs", "unknown"]


class Schemas:
    """What a document says of its objects; where it says nothing, or refers to another document, they are empty."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def object(self, value: Any) -> dict[str, Any]:
        """The object that a value is, or refers to; empty where it is none."""
        for _ in range(20):  # a reference to itself ends too
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                break
            place, value = value["$ref"], self.document
            for part in place.removeprefix("#/").split("/") if place.startswith("#/") else ("",):
                key = unquote(part).replace("~1", "/").replace("~0", "~")
                value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, dict) and "$ref" not in value else {}

    def flat(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """A schema with its `allOf` put together, and of `anyOf` and `oneOf` what there may be."""
        own = dict(self.object(schema))
        if "const" in own:
            own["enum"] = [own["const"]]
        if depth > 10:
            return own
        for part in own.pop("allOf", None) or ():
            own = _both(own, self.flat(part, depth + 1))
        for key in ("anyOf", "oneOf"):
            ways = [self.flat(way, depth + 1) for way in own.pop(key, None) or ()]
            if ways := [way for way in ways if way.get("type") != "null"]:
                own = _both(own, _either(ways))
        return own

    def takes(self, schema: Any, sent: Any, where: str = "") -> tuple[Verdict, str]:
        """Whether a schema takes what is sent: no field is missing, none unknown, each of a word or number allowed."""
        flat = self.flat(schema)
        if not isinstance(sent, Mapping):
            return _takes_value(flat, sent, where)
        fields, required = self.object(flat.get("properties")), flat.get("required") or ()
        if lacking := [name for name in required if name not in sent]:
            return "differs", f"{where}requires {', '.join(lacking)}"
        unnamed = [name for name in sent if name not in fields]
        if unnamed and ((fields and not flat.get("additionalProperties")) or flat.get("additionalProperties") is False):
            return "differs", f"{where}has no {', '.join(unnamed)}"
        found = [self.takes(fields[name], value, f"{where}{name}: ") for name, value in sent.items() if name in fields]
        found += [("unknown", f"{where}does not name {', '.join(unnamed)}")] if unnamed else []
        return _worst(found)

    def has(self, schema: Any, path: str, words: tuple[str, ...]) -> tuple[Verdict, str]:
        """Whether what a schema describes has this path, and at its end exactly these words."""
        for step in path.split("."):
            flat = self.flat(schema)
            fields = self.object(flat.get("properties"))
            if step == "*":
                schema = self._entry(flat, fields)
                continue
            name = next((name for name in fields if name.lower() in step.lower().split("|")), None)
            if name is None:
                closed = fields and not flat.get("additionalProperties")
                return ("differs", f"the document has {', '.join(fields)}") if closed else ("unknown", "the document leaves it open")
            schema = fields[name]
        said = [word for word in self.flat(schema).get("enum") or () if word is not None]
        if words and not said:
            return "unknown", "the document does not say which words there are"
        if words and set(said) != set(words):
            return "differs", f"the document has the words {', '.join(map(str, said))}"
        return "agrees", ""

    def _entry(self, flat: dict[str, Any], fields: dict[str, Any]) -> Any:
        """The schema of an entry: of an array, of an object of any keys, or of the list that a page has in it."""
        lists = {name: items for name, value in fields.items() if (items := self.flat(value).get("items"))}
        known = [lists[name] for name in PAGE_KEYS if name in lists]
        return flat.get("items") or next(iter([*known, *lists.values()]), None) or flat.get("additionalProperties")


def _takes_value(flat: dict[str, Any], sent: Any, where: str) -> tuple[Verdict, str]:
    if "enum" in flat and sent not in flat["enum"]:
        return "differs", f"{where}takes {', '.join(map(str, flat['enum'][:10]))} alone"
    low, high = flat.get("minimum"), flat.get("maximum")
    if isinstance(sent, int) and ((isinstance(low, int | float) and sent < low) or (isinstance(high, int | float) and sent > high)):
        return "differs", f"{where}takes {low} to {high}"
    return "agrees", ""


def _worst(found: Iterable[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    order: tuple[Verdict, ...] = ("differs", "unknown", "agrees")
    said = list(found)
    worst: Verdict = next((verdict for verdict in order if any(verdict == each for each, _ in said)), "agrees")
    return worst, "; ".join(detail for verdict, detail in said if verdict == worst and detail)


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = {**other, **one}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**other["properties"], **one["properties"]}
    merged["required"] = [*(one.get("required") or ()), *(other.get("required") or ())]
    return merged


def _either(ways: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for way in ways:
        merged = _both(merged, way)
    merged["required"] = [name for name in merged.get("required") or () if all(name in (way.get("required") or ()) for way in ways)]
    merged.pop("enum", None)
    if all("enum" in way for way in ways):
        merged["enum"] = [word for way in ways for word in way["enum"]]
    return merged
