"""HubSpot's rate limits: three rolling budgets, the daily one, their headers and the three 429 bodies.

Documented: requests per ten seconds and per day by tier, five searches a second per account, a budget of its own for
associations. Observed: no `Retry-After` on 429, no interval headers on search replies, no daily headers for OAuth
apps. A guess: a refused request does not count against its budget.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hubspot_sandbox.errors import HubSpotError
from hubspot_sandbox.timestamps import DAY_MS

INTERVAL_MS = 10_000
SEARCHES_A_SECOND = 5
OAUTH_GENERAL = 110
#: The UTC offset of the account's time zone (see account details); the day starts at its midnight.
ACCOUNT_OFFSET_MS = -14_400_000
GENERAL, SEARCH, ASSOCIATIONS, OPEN = "general", "search", "associations", "open"


@dataclass(frozen=True)
class Tier:
    """Requests per ten seconds, per day and searches per second; None means no limit."""

    general: int | None
    associations: int | None
    daily: int | None
    associations_daily: int | None
    search: int | None = SEARCHES_A_SECOND


TIERS: dict[str, Tier] = {
    "free": Tier(100, 100, 250_000, 500_000),
    "pro": Tier(190, 150, 625_000, 500_000),
    "enterprise": Tier(190, 150, 1_000_000, 500_000),
    "add-on": Tier(250, 200, 2_000_000, 1_000_000),
    "unlimited": Tier(None, None, None, None, None),
}


@dataclass
class RollingWindow:
    """At most `limit` requests within any `window_ms`."""

    limit: int
    window_ms: int
    taken: deque[int] = field(default_factory=deque)

    def remaining(self, now_ms: int) -> int:
        """How many more requests fit now."""
        while self.taken and self.taken[0] <= now_ms - self.window_ms:
            self.taken.popleft()
        return self.limit - len(self.taken)

    def take(self, now_ms: int) -> bool:
        """Count a request and return True if it fits."""
        if self.remaining(now_ms) <= 0:
            return False
        self.taken.append(now_ms)
        return True


def ten_secondly(portal_id: int) -> HubSpotError:
    """The 429 of the general and the association budget."""
    return HubSpotError(429, {
        "status": "error", "message": "You have reached your ten_secondly_rolling limit.", "errorType": "RATE_LIMIT",
        "policyName": "TEN_SECONDLY_ROLLING",
        "groupName": f"publicapi:private_app-api-calls-ten-secondly:1:{portal_id}",
    })  # fmt: skip


def daily(request_id: str) -> HubSpotError:
    """The 429 of the daily limit."""
    return HubSpotError(429, {
        "status": "error", "message": "You have reached your daily limit.", "errorType": "RATE_LIMIT",
        "policyName": "DAILY", "requestId": request_id,
    })  # fmt: skip


def secondly() -> HubSpotError:
    """The 429 of search (observed: a category instead of policyName)."""
    return HubSpotError(429, {
        "status": "error", "message": "You have reached your secondly limit.", "category": "RATE_LIMITS",
    })  # fmt: skip


def daily_reset_ms(now_ms: int) -> int:
    """The next midnight in the account's time zone."""
    local = now_ms + ACCOUNT_OFFSET_MS
    return local - local % DAY_MS + DAY_MS - ACCOUNT_OFFSET_MS


class Limits:
    """The budgets of one account; the static token and the OAuth app have a general window each."""

    def __init__(self, tier: str, portal_id: int, *, daily_limit: int | None = None, daily_used: int = 0) -> None:
        self.portal_id = portal_id
        self.daily_used = daily_used
        self.associations_used = 0
        self._day_ends_ms = 0
        self._daily_limit = daily_limit
        self.set_tier(tier)

    def set_tier(self, name: str) -> None:
        """Change the tier and empty the windows."""
        if name not in TIERS:
            raise ValueError(f"There is no tier {name!r}; there are: {', '.join(TIERS)}.")
        self.tier_name, self.tier = name, TIERS[name]
        self.daily_limit = self.tier.daily if self._daily_limit is None else self._daily_limit
        self._windows: dict[str, RollingWindow] = {}
        for budget, limit, window_ms in (
            (GENERAL, self.tier.general, INTERVAL_MS),
            ("oauth", None if self.tier.general is None else OAUTH_GENERAL, INTERVAL_MS),
            (ASSOCIATIONS, self.tier.associations, INTERVAL_MS),
            (SEARCH, self.tier.search, 1_000),
        ):
            if limit is not None:
                self._windows[budget] = RollingWindow(limit, window_ms)

    def take(self, budget: str, now_ms: int, *, oauth: bool, request_id: str) -> None:
        """Count one request; raise the 429 of the first budget that is exhausted."""
        if budget == OPEN:
            return
        if now_ms >= self._day_ends_ms:
            # The first request after the start belongs to the day of the option `daily_used`.
            if self._day_ends_ms:
                self.daily_used = self.associations_used = 0
            self._day_ends_ms = daily_reset_ms(now_ms)
        self._check_day(budget, oauth=oauth, request_id=request_id)
        window = self._windows.get(self._window_name(budget, oauth=oauth))
        if window is not None and not window.take(now_ms):
            raise secondly() if budget == SEARCH else ten_secondly(self.portal_id)
        if budget == ASSOCIATIONS:
            self.associations_used += 1
        self.daily_used += 1

    def _check_day(self, budget: str, *, oauth: bool, request_id: str) -> None:
        is_over_daily = not oauth and self.daily_limit is not None and self.daily_used >= self.daily_limit
        limit = self.tier.associations_daily
        if is_over_daily or (budget == ASSOCIATIONS and limit is not None and self.associations_used >= limit):
            raise daily(request_id)

    @staticmethod
    def _window_name(budget: str, *, oauth: bool) -> str:
        return "oauth" if budget == GENERAL and oauth else budget

    def headers(self, budget: str, now_ms: int, *, oauth: bool) -> dict[str, str]:
        """The rate-limit headers of a reply."""
        headers: dict[str, str] = {}
        if not oauth and self.daily_limit is not None and budget != OPEN:
            headers["x-hubspot-ratelimit-daily"] = str(self.daily_limit)
            headers["x-hubspot-ratelimit-daily-remaining"] = str(max(0, self.daily_limit - self.daily_used))
        window = self._windows.get(self._window_name(budget, oauth=oauth))
        if window is None or budget == SEARCH:
            return headers
        remaining = window.remaining(now_ms)
        return headers | {
            "x-hubspot-ratelimit-interval-milliseconds": str(window.window_ms),
            "x-hubspot-ratelimit-max": str(window.limit),
            "x-hubspot-ratelimit-remaining": str(remaining),
            # deprecated, but HubSpot still sends them
            "x-hubspot-ratelimit-secondly": str(window.limit // 10),
            "x-hubspot-ratelimit-secondly-remaining": str(min(window.limit // 10, remaining)),
        }

    def as_json(self) -> dict[str, Any]:
        """The state of the budgets, for the status endpoint."""
        return {"tier": self.tier_name, "dailyLimit": self.daily_limit, "dailyUsed": self.daily_used}
