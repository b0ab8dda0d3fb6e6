"""Fault rules: which request gets which fault. Rules are JSON or YAML; this module only decides, others act.

A rule applies to requests whose endpoint starts with `match` (an endpoint's name in the request log, such as `search`,
`list contacts`, `oauth token`; empty for all). It fires on the `nth` request, on `every` n-th, with a seeded
`probability`, or on every request; never before request number `from`, and at most `times` times.
Effects: `status`, `cut` (`before`, `body` or `short`), `stallSeconds`, `expireTokens`; and changes of the reply by
`distortions`: `rows` (only that many `results`), `paging: false` (no next page), `total` (another count), `body`,
`edit`, `remove`, `headers`, `gzip`, `bombMegabytes`, `dripSeconds`, `endless`. Effects combine.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hubspot_sandbox.behaviour import limits
from hubspot_sandbox.errors import HubSpotError

STATUSES = range(200, 600)
HTML_STATUSES = frozenset({502, 503, 504, *range(520, 527), 530})
POLICIES = ("TEN_SECONDLY_ROLLING", "DAILY", "SECONDLY")
_FIELDS = {
    "match": str, "nth": int, "every": int, "from": int, "times": int, "probability": (int, float), "seed": int,
    "status": int, "policy": str, "retryAfter": (int, float), "cut": str, "stallSeconds": (int, float),
    "expireTokens": bool, "rows": int, "paging": bool, "total": int, "body": str, "headers": dict, "edit": dict,
    "remove": list, "gzip": bool, "bombMegabytes": int, "dripSeconds": (int, float), "endless": str,
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One rule; ValueError for a rule that is not valid."""

    match: str = ""
    nth: int | None = None
    every: int | None = None
    start: int = 1
    times: int | None = None
    probability: float | None = None
    seed: int = 1
    status: int | None = None
    policy: str | None = None
    retry_after: float | None = None
    cut: str | None = None
    stall_seconds: float = 0.0
    expire_tokens: bool = False
    rows: int | None = None
    paging: bool = True
    total: int | None = None
    body: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    edit: Mapping[str, Any] = field(default_factory=dict)
    remove: Sequence[str] = ()
    gzip: bool = False
    bomb_megabytes: int = 0
    drip_seconds: float = 0.0
    endless: str | None = None

    def __post_init__(self) -> None:
        if self.status is not None and self.status not in STATUSES:
            raise ValueError(f"A fault's status must be a number from 200 to 599, not {self.status}.")
        if self.cut not in (None, "before", "body", "short"):
            raise ValueError(f"A fault's cut must be `before`, `body` or `short`, not {self.cut!r}.")
        if self.endless not in (None, "head", "body"):
            raise ValueError(f"A fault's endless must be `head` or `body`, not {self.endless!r}.")
        if not all(isinstance(text, str | None) for text in self.headers.values()):
            raise ValueError("A fault's headers must be texts, or null to leave a header out.")
        if self.policy not in (None, *POLICIES):
            raise ValueError(f"A fault's policy must be one of {', '.join(POLICIES)}, not {self.policy!r}.")
        if self.rows is not None and self.rows < 0:
            raise ValueError("A fault's rows cannot be negative.")
        changes = (self.body is not None, self.headers, self.edit, self.remove, self.gzip, self.bomb_megabytes)
        times = (self.stall_seconds, self.drip_seconds, self.endless, self.expire_tokens)
        if not (self.has_error_status or self.cut or self.is_less or any(changes) or any(times)):
            raise ValueError("A fault needs an effect: a status of 300 or more, cut, rows, body, edit, ….")

    @property
    def is_less(self) -> bool:
        """Whether the reply loses rows or its next page, or has a wrong total."""
        return self.rows is not None or not self.paging or self.total is not None

    @property
    def has_error_status(self) -> bool:
        """Whether the request is refused; then no handler runs, and no rate limit counts it."""
        return self.status is not None and self.status >= 300

    @classmethod
    def from_json(cls, raw: Any) -> Fault:
        """Make a rule from JSON; ValueError with one sentence if it is not valid."""
        if not isinstance(raw, dict):
            raise ValueError("A fault must be a JSON object.")
        raw = {str(name): value for name, value in raw.items()}
        for name, value in raw.items():
            if name not in _FIELDS:
                raise ValueError(f"A fault has no field {name!r}; it has: {', '.join(_FIELDS)}.")
            type_ = _FIELDS[name]
            if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):  # type: ignore[arg-type]
                raise ValueError(f"The fault field {name} cannot be {value!r}.")
        renamed: dict[str, str] = {"from": "start", "retryAfter": "retry_after", "stallSeconds": "stall_seconds",
                   "expireTokens": "expire_tokens", "bombMegabytes": "bomb_megabytes",
                   "dripSeconds": "drip_seconds"}  # fmt: skip
        return cls(**{renamed.get(name, name): value for name, value in raw.items()})


class Faults:
    """The active rules, and how often each rule was met and fired; if several fire, the first one wins."""

    def __init__(self, rules: tuple[Fault, ...] = ()) -> None:
        self.replace(rules)

    def replace(self, rules: tuple[Fault, ...]) -> None:
        """Replace the rules; their counts start at zero."""
        self.rules = rules
        self.met = [0] * len(rules)
        self.fired = [0] * len(rules)
        self._chance = [random.Random(rule.seed) for rule in rules]  # noqa: S311 - reproducible on purpose

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault of this request, if any; every matching rule counts the request."""
        chosen: Fault | None = None
        for place, rule in enumerate(self.rules):
            if not endpoint.startswith(rule.match):
                continue
            self.met[place] += 1
            if chosen is None and self._fires(place, rule):
                self.fired[place] += 1
                chosen = rule
        return chosen

    def _fires(self, place: int, rule: Fault) -> bool:
        met = self.met[place]
        if met < rule.start or (rule.times is not None and self.fired[place] >= rule.times):
            return False
        if rule.nth is not None:
            return met == rule.nth
        if rule.every is not None:
            return met % rule.every == 0
        return rule.probability is None or self._chance[place].random() < rule.probability

    def as_json(self) -> list[dict[str, int]]:
        """How often each rule was met and fired, in the order of the rules."""
        return [{"met": met, "fired": fired} for met, fired in zip(self.met, self.fired, strict=True)]


def error_of(fault: Fault, budget: str, portal_id: int, request_id: str) -> HubSpotError:
    """The JSON reply of a fault with an error status."""
    status = fault.status or 500
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    if status == 429:
        policy = fault.policy or ("SECONDLY" if budget == limits.SEARCH else "TEN_SECONDLY_ROLLING")
        error = {
            "SECONDLY": limits.secondly(), "DAILY": limits.daily(request_id),
            "TEN_SECONDLY_ROLLING": limits.ten_secondly(portal_id),
        }[policy]  # fmt: skip
        return HubSpotError(429, error.body, headers)
    if status == 477:
        headers.setdefault("retry-after", "1")
    messages = {
        400: ("The request is not valid.", "VALIDATION_ERROR"),
        401: ("Authentication credentials not found.", "INVALID_AUTHENTICATION"),
        403: ("This app hasn't been granted all required scopes to make this call.", "MISSING_SCOPES"),
        404: ("resource not found", "OBJECT_NOT_FOUND"), 423: ("This record is locked, try again later.", "LOCKED"),
        477: ("A data hosting migration of this account is in progress.", "MIGRATION_IN_PROGRESS"),
        488: ("The request was sent to the wrong hublet.", ""),
    }  # fmt: skip
    message, category = messages.get(status, ("internal error", ""))
    body: dict[str, Any] = {"status": "error", "message": message}
    return HubSpotError(status, body | ({"category": category} if category else {}), headers)
