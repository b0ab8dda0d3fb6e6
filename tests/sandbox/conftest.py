"""A small HTTP client for the tests of the sandbox, shared sandboxes, and the live checks' survey of one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from hubspot_sandbox.behaviour.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from hubspot_sandbox.control.pytest_plugin import RunningSandbox
from tests.live.api_client import ApiClient
from tests.live.read_only import ReadOnlySession, RequestBudget
from tests.live.survey import Survey

OAUTH = {
    "grant_type": "refresh_token",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "refresh_token": REFRESH_TOKEN,
}


@dataclass
class Api:
    """Calls HubSpot paths of one sandbox, by default with its token."""

    sandbox: RunningSandbox
    session: requests.Session

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = "", **more: Any
    ) -> requests.Response:
        headers = more.pop("headers", {})
        bearer = self.sandbox.token if token == "" else token
        if bearer is not None:
            headers = {"Authorization": f"Bearer {bearer}", **headers}
        url = path if path.startswith("http") else self.sandbox.url + path
        more.setdefault("timeout", 20)
        return self.session.request(method, url, json=body, headers=headers, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self("POST", path, body, **more)

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Iterate over the pages of a list by `paging.next.link`."""
        following: str | None = path
        while following:
            page = self.get(following).json()
            yield page
            following = page.get("paging", {}).get("next", {}).get("link")

    def listed(self, path: str) -> list[dict[str, Any]]:
        return [row for page in self.pages(path) for row in page["results"]]

    def search(self, object_type: str, **body: Any) -> dict[str, Any]:
        reply: dict[str, Any] = self.post(f"/crm/objects/2026-09/{object_type}/search", body).json()
        return reply

    def refresh(self, **changes: str) -> requests.Response:
        """Exchange the OAuth app's refresh token for an access token; `changes` are other form fields."""
        return self.session.post(f"{self.sandbox.url}/oauth/v1/token", data=OAUTH | changes, timeout=20)


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(scope="session")
def _changeable(sandbox_factory: Callable[..., RunningSandbox]) -> RunningSandbox:
    return sandbox_factory(contacts=1_200, contact_properties=100, tier="unlimited")


@pytest.fixture
def api(_changeable: RunningSandbox, http: requests.Session) -> Api:
    """Calls to a sandbox that the test may change; its portal is clean at the start."""
    _changeable.reset()
    return Api(_changeable, http)


@pytest.fixture(scope="session")
def shared(sandbox_factory: Callable[..., RunningSandbox], http: requests.Session) -> Api:
    """Calls to a sandbox that all tests of a run share; tests must not change its portal."""
    return Api(sandbox_factory(contacts=700, appointments=150, deals=160, tier="unlimited"), http)


@pytest.fixture(scope="session")
def _checked(sandbox_factory: Callable[..., RunningSandbox]) -> RunningSandbox:
    sizes = {"contacts": 1_200, "appointments": 60, "deals": 70, "divisions": 3, "contact_properties": 30}
    return sandbox_factory(**sizes, tier="unlimited")


@pytest.fixture
def portal(_checked: RunningSandbox) -> RunningSandbox:
    """A sandbox whose quirks the test may set; it is clean at the start."""
    _checked.reset()
    return _checked


@pytest.fixture
def surveyed() -> Iterator[Callable[..., Survey]]:
    """`surveyed(portal)` returns the survey of a portal; `sleep` and `token` replace the defaults."""
    with ExitStack() as sessions:

        def made(portal: RunningSandbox, token: str | None = None, **more: Any) -> Survey:
            session = sessions.enter_context(ReadOnlySession(portal.url, RequestBudget()))
            return Survey(ApiClient(portal.url, token or portal.token, session, **more))

        yield made


@pytest.fixture
def survey(portal: RunningSandbox, surveyed: Callable[..., Survey]) -> Survey:
    return surveyed(portal)
