"""Tokens: one static token with all scopes, or some, and OAuth tokens that expire and can be refreshed."""

from __future__ import annotations

from dataclasses import dataclass, field

from hubspot_sandbox.errors import HubSpotError, expired_token, no_credentials
from hubspot_sandbox.portal.object_types import OBJECT_TYPES
from hubspot_sandbox.timestamps import Clock, iso

DEFAULT_TOKEN = "pat-sandbox-not-a-secret"  # noqa: S105 - public, opens nothing but this sandbox
CLIENT_ID = "sandbox-client-id"
CLIENT_SECRET = "sandbox-client-secret-not-a-secret"  # noqa: S105 - public as well
REFRESH_TOKEN = "sandbox-refresh-not-a-secret"  # noqa: S105 - public as well

ALL_SCOPES = frozenset(
    {t.read_scope for t in OBJECT_TYPES} | {t.schema_scope for t in OBJECT_TYPES} | {"crm.objects.owners.read", "oauth"}
)


@dataclass
class Tokens:
    """The valid tokens; all of them have the same `scopes`."""

    clock: Clock
    static: str = DEFAULT_TOKEN
    life_seconds: int = 1_800
    scopes: frozenset[str] = ALL_SCOPES
    issued: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def issue(self) -> str:
        """Return a new OAuth access token; earlier ones stay valid until they expire."""
        self._count += 1
        token = f"oauth-sandbox-{self._count}-not-a-secret"
        self.issued[token] = self.clock.now_ms() + self.life_seconds * 1000
        return token

    def expire_all(self) -> None:
        """Let all OAuth tokens expire now."""
        now = self.clock.now_ms()
        self.issued = {token: min(end, now - 1_000) for token, end in self.issued.items()}

    def is_oauth(self, token: str) -> bool:
        """Whether the token came from the OAuth endpoint; it has other rate limits."""
        return token in self.issued

    def check(self, authorization: str) -> str:
        """Return the token of an Authorization header, or raise one of HubSpot's 401 replies."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise no_credentials()
        token = token.strip()
        if token == self.static:
            return token
        end = self.issued.get(token)
        now = self.clock.now_ms()
        if end is None:
            raise self._invalid(token, now)
        if end <= now:
            raise expired_token(max(1, (now - end) // 1000), iso(end))
        return token

    @staticmethod
    def _invalid(token: str, now: int) -> HubSpotError:
        if token.startswith("pat-"):
            return HubSpotError(
                401,
                {
                    "status": "error",
                    "message": "Authentication credentials not found. The access token is not valid.",
                    "category": "INVALID_AUTHENTICATION",
                },
            )
        # Observed: a text that is no token at all "expired 20705 day(s) ago", that is in 1970.
        return expired_token(now // 1000, iso(0))
