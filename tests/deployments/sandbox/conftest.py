"""A client of the sandbox, and deals to send it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, Literal

import httpx
import pytest

from deployments.sandbox import Sandbox
from deployments.sandbox.platform.deals_rules import COLUMNS
from tests.conftest import HANG, wait_for

DEAL = {
    "id": "1",
    "name": "Annual supply",
    "creationDatetime": "2024-05-01T08:00:00",
    "addDatetime": "2024-05-01T08:00:00",
    "closedDatetime": "2024-06-10T09:15:30",
    "status": "closed_won",
    "stage": "Negotiation",
    "currentStageStartDatetime": "2024-06-10T09:15:30",
    "value": "1000.00",
    "companyIsCustomer": "true",
    "lastUpdateDatetime": "2024-06-18T12:30:45",
}


@pytest.fixture(scope="session")
def deals_csv() -> Callable[..., bytes]:
    """Write deals as CSV: each a dict of the cells that differ from a valid won deal."""

    def write(
        *deals: dict[str, str],
        separator: str = ",",
        columns: tuple[str, ...] = COLUMNS,
        line_end: str = "\n",
        quoting: Literal[0, 1] = csv.QUOTE_MINIMAL,
    ) -> bytes:
        text = io.StringIO(newline="")
        rows = csv.writer(text, delimiter=separator, lineterminator=line_end, quoting=quoting)
        rows.writerow(columns)
        rows.writerows([(DEAL | deal).get(column, "") for column in columns] for deal in deals)
        return text.getvalue().encode()

    return write


class Client(httpx.Client):
    """An organisation's client, with the steps that most tests take."""

    def __init__(self, sandbox: Sandbox, token: str | None = None) -> None:
        super().__init__(base_url=sandbox.url, headers={"Authorization": f"Token {token or sandbox.token}"}, timeout=HANG, trust_env=False)

    def new_collection(self, **fields: object) -> str:
        """Return the id of a new, empty collection."""
        body = {"name": "Deals", "product": "SalesForecasting", "timezone": "Europe/Rome"} | fields
        answer = self.post("/api/collection", json=body)
        assert answer.status_code == 201, answer.text
        identifier: str = answer.json()["id"]
        return identifier

    def upload(self, collection: str, content: bytes, separator: str = ",", operation: str = "append") -> str:
        """Return the path of an accepted request's status."""
        path = f"/api/collection/{collection}/data/deals/{operation}"
        answer = self.post(path, files={"file": ("deals.csv", content, "text/csv")}, data={"separator": separator})
        assert answer.status_code == 202, answer.text
        return f"{path}/{answer.json()['id']}"

    def append(self, collection: str, content: bytes, separator: str = ",", operation: str = "append") -> dict[str, Any]:
        """Append (or override), and return the request as it ended."""
        return self.settled(self.upload(collection, content, separator, operation))

    def delete_deals(self, collection: str, **args: object) -> dict[str, Any]:
        """Delete deals, and return the request as it ended."""
        path = f"/api/collection/{collection}/data/deals/delete"
        answer = self.request("DELETE", path, json={"args": args})
        assert answer.status_code == 202, answer.text
        return self.settled(f"{path}/{answer.json()['id']}")

    def invoke(self, collection: str, **args: object) -> str:
        """Return the path of an accepted invocation."""
        body = {"collectionId": collection, "invocationType": "sales-forecasting", "args": {"horizon": 3} | args}
        answer = self.post("/api/invocation", json=body)
        assert answer.status_code == 202, answer.text
        return f"/api/invocation/{answer.json()['id']}"

    def settled(self, path: str) -> dict[str, Any]:
        """Poll until the end."""

        def look() -> dict[str, Any] | None:
            body: dict[str, Any] = self.get(path).raise_for_status().json()
            return body if body["status"] in {"completed", "error"} else None

        return wait_for(look, f"the end of {path}")

    def dump(self, collection: str) -> bytes:
        """Return the deals held."""
        return self.get(f"/api/collection/{collection}/data/deals/dump").raise_for_status().content


@pytest.fixture
def client() -> Callable[..., Client]:
    """Make clients, for tests that run a sandbox or an organisation of their own."""
    return Client


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Client]:
    with Client(sandbox) as client:
        yield client


@pytest.fixture
def collection(api: Client) -> str:
    """The id of a new, empty collection."""
    return api.new_collection()
