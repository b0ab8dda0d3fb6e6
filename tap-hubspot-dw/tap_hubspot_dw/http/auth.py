"""The Bearer token: static, or fetched by OAuth and renewed before it expires."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from tap_hubspot_dw.errors import AuthenticationError, UnreachableError, UnreadableReplyError
from tap_hubspot_dw.http.replies import Answer, Reply, decode, error_reply
from tap_hubspot_dw.http.transport import NoAnswerError, Transport
from tap_hubspot_dw.routes import path
from tap_hubspot_dw.settings import Settings
from tap_hubspot_dw.shown import shown

_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)
_LIFE_SECONDS = 1800.0  # a token's lifetime (documented)
_LONGEST_LIFE_SECONDS = 86_400.0
_RENEW_AT = 0.8  # fraction of a token's lifetime; requests already under way need the rest


class Token(Protocol):
    """The client's source of tokens."""

    def value(self) -> str:
        """Return the token to send now."""

    def renew(self, rejected: str) -> bool:
        """Return whether `value` now returns another token than the rejected one."""


class StaticToken:
    """The token of a private app or a service key; it cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = token

    def value(self) -> str:
        """Return the token."""
        return self._token

    def renew(self, rejected: str) -> bool:
        """Return False for the only token there is."""
        return self._token != rejected


class OAuthToken:
    """Tokens of an OAuth app, fetched with the refresh token. Thread-safe.

    A token is valid for the reply's `expires_in` seconds (30 minutes; documented). A new refresh token is kept in
    memory only: a tap does not write configuration.
    """

    def __init__(self, settings: Settings, user_agent: str) -> None:
        self._url = settings.api_url + path("token", settings.api_version)
        self._form = {
            "grant_type": "refresh_token",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "refresh_token": settings.refresh_token,
        }
        self._transport = Transport(timeout_seconds=settings.request_timeout_seconds, user_agent=user_agent)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_after = 0.0

    def value(self) -> str:
        """Return a token with at least a fifth of its lifetime left."""
        with self._lock:
            if time.monotonic() >= self._renew_after:
                self._fetch()
            return self._token

    def renew(self, rejected: str) -> bool:
        """Fetch a new token, unless another thread has already replaced the rejected one."""
        with self._lock:
            if self._token == rejected:
                self._fetch()
            return self._token != rejected

    def _fetch(self) -> None:
        """Fetch a token; retry while HubSpot does not answer or answers with a temporary error."""
        trouble = ""
        for seconds in (*_WAITS_SECONDS, None):
            try:
                answer = self._transport.answer("POST", self._url, data=self._form)
                trouble = f"HTTP {answer.status_code}"
                if answer.status_code < 500 and answer.status_code not in {423, 429, 477, 488}:
                    return self._take(answer)
            except NoAnswerError as error:
                trouble = str(error)
            except UnreadableReplyError:
                trouble = "a reply without a token"
            if seconds is not None:
                time.sleep(seconds)
        raise UnreachableError(f"HubSpot gave no token at {self._url} ({trouble}): run again later.")

    def _take(self, answer: Answer) -> None:
        """Keep the token of an answer.

        Raises:
            AuthenticationError: HubSpot refuses the refresh token.
            UnreadableReplyError: the reply lacks a token.
        """
        if answer.status_code >= 300:
            reply = error_reply(answer)
            raise AuthenticationError(
                f"HubSpot refused the refresh token (HTTP {answer.status_code}, {shown(reply.get('status'), 100)}): "
                "check client_id, client_secret and refresh_token, or install the app again.",
                reply=reply,
            )
        reply = decode(answer.content)
        token, successor = reply.get("access_token"), reply.get("refresh_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise UnreadableReplyError("HubSpot sent a reply without a token.")
        self._token = token
        if isinstance(successor, str) and successor:
            self._form["refresh_token"] = successor
        self._renew_after = time.monotonic() + _RENEW_AT * _life_seconds(reply)


def _life_seconds(reply: Reply) -> float:
    """Return a token's lifetime in seconds; half an hour if the reply does not state one."""
    life = reply.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float) or life <= 0:
        return _LIFE_SECONDS
    return min(float(life), _LONGEST_LIFE_SECONDS)


def token_for(settings: Settings, user_agent: str) -> Token:
    """Return the token that the settings configure; a static token takes precedence."""
    return StaticToken(settings.access_token) if settings.access_token else OAuthToken(settings, user_agent)
