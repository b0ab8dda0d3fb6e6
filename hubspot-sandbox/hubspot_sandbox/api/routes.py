"""The paths of HubSpot's API that the sandbox answers, one row each: method, path, handler, budget, scope.

`budget` names the rate limit that counts a call; `scope` says which granular scopes it needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hubspot_sandbox.api import associations as association_calls
from hubspot_sandbox.api import legacy, oauth, objects, reference
from hubspot_sandbox.api.call import Call, Reply
from hubspot_sandbox.behaviour.limits import ASSOCIATIONS, GENERAL, OPEN, SEARCH

_DATED = r"(?P<version>2025-09|2026-03|2026-09(?:-beta)?|2027-03-beta)"
_V3 = r"(?P<version>v3)"
_V4 = r"(?P<version>v4)"


@dataclass(frozen=True)
class Route:
    """One path pattern; `endpoint` is its name in the request log."""

    endpoint: str
    method: str
    pattern: re.Pattern[str]
    handler: Callable[[Call], Reply]
    budget: str
    scope: str


def _route(
    endpoint: str,
    method: str,
    path: str,
    handler: Callable[[Call], Reply],
    budget: str = GENERAL,
    scope: str = "records",
) -> Route:
    """Make a route; `{x}` in its path is one path element with the name x."""
    pattern = re.sub(r"(?<!\\)\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    return Route(endpoint, method, re.compile(f"^{pattern}/?$"), handler, budget, scope)


def _objects(base: str) -> list[Route]:
    return [
        _route("list", "GET", f"{base}/{{type}}", objects.list_objects),
        _route("search", "POST", f"{base}/{{type}}/search", objects.search, SEARCH),
        _route("batch read", "POST", f"{base}/{{type}}/batch/read", objects.batch_read),
        _route("read", "GET", f"{base}/{{type}}/{{id}}", objects.read_object),
        _route("associations of", "GET", f"{base}/{{type}}/{{id}}/associations/{{to}}", association_calls.read_one),
    ]


def _families() -> list[Route]:
    associations = association_calls.batch_read
    routes = _objects(f"/crm/objects/{_DATED}") + _objects(f"/crm/{_V3}/objects") + _objects(f"/crm/{_V4}/objects")
    for base in (f"/crm/associations/{_DATED}", f"/crm/{_V4}/associations"):
        routes += [
            _route(
                "associations batch read",
                "POST",
                f"{base}/{{from}}/{{to}}/batch/read",
                associations,
                ASSOCIATIONS,
                "pair",
            ),
            _route(
                "association labels",
                "GET",
                f"{base}/{{from}}/{{to}}/labels",
                association_calls.labels,
                ASSOCIATIONS,
                "pair",
            ),
        ]
    routes.append(
        _route(
            "associations batch read",
            "POST",
            f"/crm/{_V3}/associations/{{from}}/{{to}}/batch/read",
            association_calls.legacy_batch_read,
            ASSOCIATIONS,
            "pair",
        )
    )
    for base in (f"/crm/properties/{_DATED}", f"/crm/{_V3}/properties"):
        routes += [
            _route("properties", "GET", f"{base}/{{type}}", reference.properties, scope="schema"),
            _route("property", "GET", f"{base}/{{type}}/{{name}}", reference.one_property, scope="schema"),
        ]
    schema_bases = (f"/crm-object-schemas/{_DATED}", f"/crm-object-schemas/{_V3}", f"/crm/{_V3}")
    for base in schema_bases:
        routes += [
            _route("schemas", "GET", f"{base}/schemas", reference.schemas, scope="custom schemas"),
            _route("schema", "GET", f"{base}/schemas/{{type}}", reference.one_schema, scope="custom schemas"),
        ]
    for base in (f"/crm/owners/{_DATED}", f"/crm/{_V3}/owners"):
        routes += [
            _route("owners", "GET", base, reference.owners, scope="owners"),
            _route("owner", "GET", f"{base}/{{id}}", reference.one_owner, scope="owners"),
        ]
    for base in (f"/crm/pipelines/{_DATED}", f"/crm/{_V3}/pipelines"):
        routes += [
            _route("pipelines", "GET", f"{base}/{{type}}", reference.pipelines),
            _route("pipeline", "GET", f"{base}/{{type}}/{{id}}", reference.one_pipeline),
            _route("pipeline stages", "GET", f"{base}/{{type}}/{{id}}/stages", reference.pipeline_stages),
        ]
    for version in (_DATED, _V3):
        routes += [
            _route(
                "account details",
                "GET",
                f"/account-info/{version}/details",
                reference.account_details,
                scope="oauth",
            ),
            _route(
                "daily usage",
                "GET",
                f"/account-info/{version}/api-usage/daily/private-apps",
                reference.daily_usage,
                scope="none",
            ),
        ]
    for base in (f"/crm/limits/{_DATED}", f"/crm/{_V3}/limits"):
        routes.append(_route("record limits", "GET", f"{base}/records", reference.record_limits, scope="none"))
    for version in (_DATED, r"(?P<version>v1|v3)"):
        routes += [
            _route("oauth token", "POST", f"/oauth/{version}/token", oauth.token, OPEN, "none"),
            _route(
                "oauth introspect",
                "POST",
                f"/oauth/{version}/token/introspect",
                oauth.introspect,
                OPEN,
                "none",
            ),
        ]
    return [
        *routes,
        _route(
            "oauth token info",
            "GET",
            "/oauth/v1/access-tokens/{token}",
            oauth.legacy_access_token,
            OPEN,
            "none",
        ),
        _route(
            "private app token info",
            "POST",
            "/oauth/v2/private-apps/get/access-token-info",
            oauth.private_app_token_info,
            OPEN,
            "none",
        ),
        _route("account details", "GET", "/integrations/v1/me", reference.account_details, scope="oauth"),
        *_legacy(),
    ]


def _legacy() -> list[Route]:
    """The v1 and v2 paths of known clients; a literal object type in a path is captured as `type`, for its scope."""
    deals, companies = "/(?P<type>deals)/(?P<version>v1)", "/(?P<type>companies)/(?P<version>v2)"
    versions = "(?P<version>v1|v2)"
    routes = [
        _route("properties (v1, v2)", "GET", path, legacy.properties, scope="schema")
        for path in (f"/properties/{versions}/{{type}}/properties", f"{companies}/properties")
    ]
    nothing = (
        ("campaigns (v1)", "GET", "/email/public/v1/campaigns/by-id"),
        ("email events (v1)", "GET", "/email/public/v1/events"),
        ("subscription changes (v1)", "GET", "/email/public/v1/subscriptions/timeline"),
        ("engagements (v1)", "GET", "/engagements/v1/engagements/modified/after"),
        ("forms (v2)", "GET", "/forms/v2/forms"),
        ("workflows (v3)", "GET", "/automation/v3/workflows"),
        ("lists search", "POST", "/crm/v3/lists/search"),
    )
    return [
        *routes,
        _route("pipelines (v1)", "GET", "/crm-pipelines/(?P<version>v1)/pipelines/{type}", legacy.pipelines),
        _route("deal pipelines (v1)", "GET", f"{deals}/pipelines", legacy.deal_pipelines),
        _route("list (v1)", "GET", f"{deals}/deal/paged", legacy.deals),
        _route("read (v1)", "GET", f"{deals}/deal/{{id}}", legacy.deal),
        _route("list (v2)", "GET", f"{companies}/companies/paged", legacy.companies),
        _route("read (v2)", "GET", f"{companies}/companies/{{id}}", legacy.company),
        *(_route(name, method, path, legacy.nothing(name), scope="none") for name, method, path in nothing),
    ]


ROUTES: tuple[Route, ...] = tuple(_families())


def find(method: str, path: str) -> tuple[Route | None, dict[str, str], bool]:
    """Return the route, its path parameters, and whether the path exists with this or another method."""
    exists = False
    for route in ROUTES:
        match = route.pattern.match(path)
        if match:
            if route.method == method:
                return route, {k: v for k, v in match.groupdict().items() if v is not None}, True
            exists = True
    return None, {}, exists


def required_scopes(call: Call, route: Route) -> tuple[tuple[str, ...], ...]:
    """Return the scopes that the token needs: of every row one of the granular scopes."""
    if route.scope == "none":
        return ()
    if route.scope == "owners":
        return (("crm.objects.owners.read",),)
    if route.scope == "oauth":
        return (("oauth",),)
    if route.scope == "custom schemas":
        return (("crm.schemas.custom.read", "crm.objects.custom.read"),)
    if route.scope == "pair":
        return ((call.object_type("from").read_scope,), (call.object_type("to").read_scope,))
    object_type = call.object_type()
    if route.scope == "schema":
        return ((object_type.schema_scope, object_type.read_scope),)
    return ((object_type.read_scope,),)
