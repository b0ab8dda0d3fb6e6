"""The paths of HubSpot's API: dated versions and the v3/v4 paths that they replace.

Source: HubSpot's API reference 2026-03 and 2026-09 and its migration guide. Reads have the same parameters, bodies
and statuses on both.
"""

from __future__ import annotations

API_VERSIONS = ("2026-09", "2026-03", "v3")

_ROUTES: dict[str, tuple[str, str]] = {
    # need: (dated path, legacy path)
    "list": ("/crm/objects/{v}/{type}", "/crm/v3/objects/{type}"),
    "batch_read": ("/crm/objects/{v}/{type}/batch/read", "/crm/v3/objects/{type}/batch/read"),
    "search": ("/crm/objects/{v}/{type}/search", "/crm/v3/objects/{type}/search"),
    "associations": (
        "/crm/associations/{v}/{type}/{to}/batch/read",
        "/crm/v4/associations/{type}/{to}/batch/read",
    ),
    "labels": (
        "/crm/associations/{v}/{type}/{to}/labels",
        "/crm/v4/associations/{type}/{to}/labels",
    ),
    "properties": ("/crm/properties/{v}/{type}", "/crm/v3/properties/{type}"),
    "schemas": ("/crm-object-schemas/{v}/schemas", "/crm/v3/schemas"),
    "owners": ("/crm/owners/{v}", "/crm/v3/owners"),
    "pipelines": ("/crm/pipelines/{v}/{type}", "/crm/v3/pipelines/{type}"),
    "limits": ("/crm/limits/{v}/records", "/crm/v3/limits/records"),
    "account": ("/account-info/{v}/details", "/account-info/v3/details"),
    "token": ("/oauth/{v}/token", "/oauth/v1/token"),
}


def path(need: str, api_version: str, **parts: str) -> str:
    """Return the path for `need` in an API version; `parts` fills in object type ids."""
    dated, legacy = _ROUTES[need]
    return (legacy if api_version == "v3" else dated).format(v=api_version, **parts)
