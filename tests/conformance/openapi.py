"""The platform's OpenAPI document beside what dealcast takes the platform to do: neither a platform nor a token is needed."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx
import yaml

from flows.nostradamus.models import FORECAST_MONTH, FORECAST_REVENUE, RESULT_FORMATS, RequestMode, Status
from tests.conformance.openapi_schema import Schemas, Verdict
from tests.conftest import HANG

Fields = tuple[tuple[str, str, tuple[str, ...]], ...]
"""Each the fact, the path in the answer (`*` is any entry; `a|b` either name), and the words that the value may be."""

FACTS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))


class NotOpenAPI(ValueError):
    """What was given is no OpenAPI document of version 3; the message is one sentence."""


@dataclass(frozen=True)
class Row:
    """One thing assumed, its standing as `facts.toml` has it, and what the document says of it."""

    what: str
    standing: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Route:
    """A request as the client sends it, and what is read of the answer."""

    fact: str
    method: str
    path: str
    status: tuple[str, ...] = ("200",)
    query: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    media: str = "application/json"
    fields: Fields = ()


_DEALS, _WORDS = "/api/collection/{}/data/deals", get_args(Status)
_ACCEPTED: Fields = (("either-word", "id|requestId", ()),)
_UPLOAD: Fields = (
    *_ACCEPTED,
    ("upload-request", "collectionId", ()),
    ("upload-words", "status", _WORDS),
    ("upload-request", "message", ()),
    ("upload-request", "validationErrors", ()),
)
_RESULT = ("primaryResult", "status", *(f"{form}Available" for form in RESULT_FORMATS))
_INVOCATION: Fields = (
    ("invocation", "id", ()),
    ("invocation-words", "status", _WORDS),
    *(("results", f"invocationResults.*.{name}", ()) for name in _RESULT),
)
_FORECAST: Fields = (("result-fields", f"*.{'|'.join(FORECAST_MONTH)}", ()), ("result-fields", f"*.{'|'.join(FORECAST_REVENUE)}", ()))
_LISTED: Fields = (("page-shape", "*.id", ()), ("collection-list", "*.name", ()), ("listed-zone", "*.timezone", ()))
_NEW = {"name": "A", "product": "SalesForecasting", "timezone": "Europe/Rome", "tag": {}, "properties": {}}
_ARGS = {"horizon": 12, "first_month_to_predict": "2025-01"}
_INVOKE = {"collectionId": "A", "invocationType": "sales-forecasting", "args": _ARGS}
_FILE = {"file": "deals.csv", "separator": ","}
_STATUS = {"append": "append-status", "override": "override-status", "delete": "delete-status"}

ROUTES = (
    Route("collection", "post", "/api/collection", ("200", "201"), body=_NEW, fields=(("collection", "id", ()),)),
    Route("collection-list", "get", "/api/collection", query=("limit", "offset"), fields=_LISTED),
    *(Route(mode, "post", f"{_DEALS}/{mode}", ("202",), (), _FILE, "multipart/form-data", _ACCEPTED) for mode in ("append", "override")),
    Route("delete", "delete", f"{_DEALS}/delete", ("202",), body={"args": {"ids": ["A"]}}, fields=_ACCEPTED),
    *(Route(_STATUS[mode], "get", f"{_DEALS}/{mode}/{{}}", fields=_UPLOAD) for mode in get_args(RequestMode)),
    Route("dump", "get", f"{_DEALS}/dump"),
    Route("invocation", "post", "/api/invocation", ("202",), body=_INVOKE, fields=_ACCEPTED),
    Route("invocation", "get", "/api/invocation/{}", fields=_INVOCATION),
    *(Route("results", "get", f"/api/invocation/{{}}/{form}", fields=_FORECAST if form == "json" else ()) for form in RESULT_FORMATS),
)


def read(place: str) -> Any:
    """The document in a file or at a URL, JSON or YAML; no token is sent."""
    try:
        text = (
            httpx.get(place, follow_redirects=True, timeout=HANG).raise_for_status().text
            if "://" in place
            else Path(place).read_text("utf-8")
        )
    except (OSError, UnicodeError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotOpenAPI(f"{place} cannot be read as an OpenAPI document: {str(error).splitlines()[0]}") from error
    try:
        return json.loads(text)
    except ValueError:
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise NotOpenAPI(f"{place} is no OpenAPI document: it is neither JSON nor YAML.") from error


def compare(document: Any) -> list[Row]:
    """Say of all that is assumed whether the document agrees.

    Raises:
        NotOpenAPI: it is no document of OpenAPI 3.
    """
    version = document.get("openapi", document.get("swagger")) if isinstance(document, dict) else None
    if version is None or not isinstance(document.get("paths"), dict):
        raise NotOpenAPI("This is no OpenAPI document: it needs `openapi`, the version, and `paths`, an object.")
    if not str(version).startswith("3."):
        raise NotOpenAPI(f"This is a document of version {version}: convert it to OpenAPI 3 first.")
    try:
        return list(_Document(document).rows())
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        raise NotOpenAPI("This is no OpenAPI document: a part of it is of a kind that OpenAPI does not have there.") from error


def table(rows: list[Row]) -> str:
    """The rows as aligned text, with their count by verdict."""
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("verdict", "standing", "what")]
    lines = [f"{row.verdict:{widths[0]}}  {row.standing:{widths[1]}}  {row.what:{widths[2]}}  {row.detail}".rstrip() for row in rows]
    count = Counter(row.verdict for row in rows)
    return "\n".join([*lines, ", ".join(f"{count[verdict]} {verdict}" for verdict in get_args(Verdict))])


class _Document(Schemas):
    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document)
        self._paths = {path: self.object(item) for path, item in document["paths"].items()}
        heads = Counter(head for route in ROUTES for head in {head for _, head, _ in self._candidates(route)})
        self._head = min(heads, key=lambda head: (-heads[head], len(head)), default="")

    def rows(self) -> Iterator[Row]:
        yield self._token()
        for route in ROUTES:
            yield from self._of_route(route)

    def _token(self) -> Row:
        components = self.object(self.document.get("components"))
        schemes = [self.object(scheme) for scheme in self.object(components.get("securitySchemes")).values()]
        header = [each for each in schemes if each.get("in") == "header" and str(each.get("name")).lower() == "authorization"]
        verdict: Verdict = "agrees" if header else "differs" if schemes else "unknown"
        said = ", ".join(str(each.get("scheme") or each.get("name") or each.get("type")) for each in schemes)
        return _row("token", "header Authorization", verdict, f"the document has: {said}" if schemes else "no security scheme")

    def _of_route(self, route: Route) -> Iterator[Row]:
        name = f"{route.method.upper()} {route.path}"
        found = [(path, doubts) for path, head, doubts in self._candidates(route) if head == self._head]
        own = sorted((each for each in found if route.method in self._paths[each[0]]), key=lambda each: len(each[1]))
        if not own:
            near = [path for path, _ in found] or get_close_matches(route.path, self._paths, 1)
            yield _row(route.fact, name, "differs", f"not in the document; the nearest is {near[0]}" if near else "not in the document")
            return
        path, doubts = own[0]
        why = f"{path} does not say which {', '.join(doubts)} there are" if doubts else "" if path == route.path else f"as {path}"
        under = f"; its base path {self._head} belongs in DEALCAST_PLATFORM_URL" if self._head else ""
        yield _row(route.fact, name, "unknown" if doubts else "agrees", why + under)
        item, operation = self._paths[path], self.object(self._paths[path][route.method])
        yield _row(route.fact, f"{name}: parameters", *self._parameters(route, item, operation))
        if route.body:
            yield _row(route.fact, f"{name}: body", *self._body(route, operation))
        yield from self._answer(route, name, operation)

    def _candidates(self, route: Route) -> Iterator[tuple[str, str, list[str]]]:
        """Paths that may be the route's: with what stands before it, and the parameters that stand for a word of it, unsaid which."""
        wanted = route.path.strip("/").split("/")
        for base in self._bases():
            for path, item in self._paths.items():
                parts = (base + path).split("/")
                head, tail = parts[: -len(wanted)], parts[-len(wanted) :]
                if not head or any("{" in part for part in head) or len(tail) < len(wanted):
                    continue
                fits = [self._fit(*pair, item, route.method) for pair in zip(wanted, tail, strict=True)]
                if None not in fits:
                    yield path, "/".join(head), [part for part in fits if part]

    def _fit(self, wanted: str, part: str, item: dict[str, Any], method: str) -> str | None:
        """Empty where a part of a path is the wanted one, the part where it may be, None where it is not."""
        if not re.fullmatch(r"\{[^{}]*\}", part):
            return "" if part == wanted else None
        if wanted == "{}":
            return ""
        parameters = self._all_parameters(item, self.object(item.get(method)))
        words = self.flat(parameters.get((part[1:-1], "path"), {}).get("schema")).get("enum")
        return part if words is None else "" if wanted in words else None

    def _bases(self) -> set[str]:
        """The paths of the servers, whose variables have their defaults."""
        bases = set()
        for server in map(self.object, self.document.get("servers") or [{}]):
            url = str(server.get("url") or "")
            for name, variable in self.object(server.get("variables")).items():
                url = url.replace(f"{{{name}}}", str(self.object(variable).get("default", "")))
            bases.add(urlsplit(url).path.rstrip("/"))
        return bases

    def _all_parameters(self, item: dict[str, Any], operation: dict[str, Any]) -> dict[tuple[Any, Any], dict[str, Any]]:
        listed = [self.object(each) for each in [*(item.get("parameters") or []), *(operation.get("parameters") or [])]]
        return {(each.get("name"), each.get("in")): each for each in listed}

    def _parameters(self, route: Route, item: dict[str, Any], operation: dict[str, Any]) -> tuple[Verdict, str]:
        known = {key: each for key, each in self._all_parameters(item, operation).items() if key[1] != "path"}
        sent = {(name, "query") for name in route.query}
        asked = [
            f"{where} {name}"
            for (name, where), each in known.items()
            if each.get("required") is True and (name, where) not in sent and str(name).lower() != "authorization"
        ]
        lacking = [name for name, where in sorted(sent - known.keys())]
        if asked or (lacking and known):
            needs = [f"requires {', '.join(asked)}"] if asked else []
            return "differs", "; ".join([*needs, *([f"has no {', '.join(lacking)}"] if lacking else [])])
        return ("unknown", f"does not name {', '.join(lacking)}") if lacking else ("agrees", "")

    def _body(self, route: Route, operation: dict[str, Any]) -> tuple[Verdict, str]:
        content = self.object(self.object(operation.get("requestBody")).get("content"))
        if not content:
            return "unknown", "no request body in the document"
        media = next((each for each in content if each.split(";")[0].strip().lower() in (route.media, "*/*")), None)
        if media is None:
            return "differs", f"takes {', '.join(content)}, not {route.media}"
        return self.takes(self.object(content[media]).get("schema"), route.body)

    def _answer(self, route: Route, name: str, operation: dict[str, Any]) -> Iterator[Row]:
        answers = {str(code).upper(): self.object(answer) for code, answer in self.object(operation.get("responses")).items()}
        good = [code for code in answers if code.startswith("2")]
        expected = [code for code in (*route.status, "2XX") if code in answers]
        verdict: Verdict = "agrees" if expected else "differs" if good else "unknown"
        said = "" if expected else f"answers {', '.join(good)}" if good else "no good answer in the document"
        yield _row(route.fact, f"{name}: answers {' or '.join(route.status)}", verdict, said)
        content = self.object(answers[(expected or good)[0]].get("content")) if expected or good else {}
        schema = next((self.object(each).get("schema") for media, each in content.items() if "json" in media or media == "*/*"), None)
        for fact, path, words in route.fields:
            yield _row(fact, f"{name}: answer's {path}", *self.has(schema, path, words))


def _row(fact: str, what: str, verdict: Verdict, detail: str) -> Row:
    remedy = f"; if the platform means it, correct {FACTS[fact]['correct']}" if verdict == "differs" else ""
    return Row(what, FACTS[fact]["source"], verdict, detail + remedy)
