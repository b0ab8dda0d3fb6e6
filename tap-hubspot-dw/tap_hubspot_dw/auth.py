"""The Bearer token: static, or fetched by OAuth and renewed before it ends."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import requests

from tap_hubspot_dw.errors import AuthenticationError, UnreachableError
from tap_hubspot_dw.routes import path
from tap_hubspot_dw.settings import Settings

_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)
_RENEW_AT = 0.8  # of a token's life: the rest is for requests already under way


class Token(Protocol):
    """Where the client gets its token from."""

    def value(self) -> str:
        """Return the token to send now."""

    def renew(self, rejected: str) -> bool:
        """After HubSpot rejected a token: tell whether `value` now gives another one."""


class StaticToken:
    """A token of a private app or a service key: it has no successor."""

    def __init__(self, token: str) -> None:
        self._token = token

    def value(self) -> str:
        """Return the token."""
        return self._token

    def renew(self, rejected: str) -> bool:
        """There is no other token."""
        return self._token != rejected


class OAuthToken:
    """Tokens of an OAuth app, fetched with the refresh token; safe to use from several threads.

    HubSpot's tokens live for the `expires_in` seconds of the reply (30 minutes; documented). A changed refresh
    token is kept in memory only: a tap does not write configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url + path("token", settings.api_version)
        self._form = {
            "grant_type": "refresh_token",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "refresh_token": settings.refresh_token,
        }
        self._timeout_seconds = settings.request_timeout_seconds
        self._lock = threading.Lock()
        self._token = ""
        self._renew_after = 0.0

    def value(self) -> str:
        """Return a token with at least a fifth of its life left."""
        with self._lock:
            if time.monotonic() >= self._renew_after:
                self._fetch()
            return self._token

    def renew(self, rejected: str) -> bool:
        """Fetch a new token, unless another thread has done so since `rejected` was sent."""
        with self._lock:
            if self._token == rejected:
                self._fetch()
            return self._token != rejected

    def _fetch(self) -> None:
        response = self._answer()
        try:
            reply = response.json()
        except requests.JSONDecodeError:
            reply = {}
        if not response.ok or "access_token" not in reply:
            raise AuthenticationError(
                f"HubSpot refused the refresh token (HTTP {response.status_code}, {reply.get('status')}): "
                "check client_id, client_secret and refresh_token, or install the app again.",
                reply=reply,
            )
        self._token = str(reply["access_token"])
        self._form["refresh_token"] = reply.get("refresh_token") or self._form["refresh_token"]
        self._renew_after = time.monotonic() + _RENEW_AT * float(reply.get("expires_in", 1800))

    def _answer(self) -> requests.Response:
        """Ask until there is an answer that is no trouble of HubSpot's own, a few times."""
        for seconds in (*_WAITS_SECONDS, None):
            try:
                response = requests.post(self._url, data=self._form, timeout=self._timeout_seconds)
                trouble = f"HTTP {response.status_code}"
                if response.status_code < 500 and response.status_code not in {423, 429, 477}:
                    return response
            except requests.RequestException as error:
                trouble = type(error).__name__
            if seconds is not None:
                time.sleep(seconds)
        raise UnreachableError(f"HubSpot gave no token at {self._url} ({trouble}): run again later.")


def token_for(settings: Settings) -> Token:
    """Return the token that the settings describe; a static one wins."""
    return StaticToken(settings.access_token) if settings.access_token else OAuthToken(settings)
