"""OAuth: token refresh and introspection; these endpoints need no Authorization header."""

from __future__ import annotations

from urllib.parse import parse_qs

from hubspot_sandbox.api.call import Call, Reply, json_reply
from hubspot_sandbox.behaviour.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from hubspot_sandbox.errors import HubSpotError, not_found


def _form(call: Call) -> dict[str, str]:
    raw = parse_qs(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    return {key: values[-1] for key, values in raw.items()}


def token(call: Call) -> Reply:
    """POST /oauth/v1|{v}/token with grant_type refresh_token (or authorization_code), form-encoded."""
    form = _form(call)
    if form.get("grant_type") not in ("refresh_token", "authorization_code"):
        raise HubSpotError(400, {"status": "BAD_GRANT_TYPE", "message": "missing or unknown grant_type"})
    if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_SECRET:
        raise HubSpotError(
            400,
            {
                "error": "invalid_client",
                "error_description": "client_id or client_secret is wrong",
                "status": "BAD_CLIENT_ID",
                "message": "missing or unknown client id",
            },
        )
    if form["grant_type"] == "refresh_token" and form.get("refresh_token") != REFRESH_TOKEN:
        raise HubSpotError(400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"})
    tokens = call.sandbox.tokens
    return json_reply(
        {
            "access_token": tokens.issue(),
            "refresh_token": REFRESH_TOKEN,
            "expires_in": tokens.life_seconds,
            "token_type": "bearer",
            "token_use": "access",
            "hub_id": call.sandbox.options.portal.portal_id,
            "user_id": 1,
            "scopes": sorted(tokens.scopes),
        }
    )


def introspect(call: Call) -> Reply:
    """POST /oauth/{v}/token/introspect."""
    access_token = _form(call).get("token", "")
    tokens = call.sandbox.tokens
    left = (tokens.issued.get(access_token, 0) - call.sandbox.clock.now_ms()) // 1000
    return json_reply(
        {
            "active": left > 0,
            "token_use": "access",
            "hub_id": call.sandbox.options.portal.portal_id,
            "client_id": CLIENT_ID,
            "expires_in": max(0, left),
            "scopes": sorted(tokens.scopes),
        }
    )


def legacy_access_token(call: Call) -> Reply:
    """GET /oauth/v1/access-tokens/{token}."""
    tokens = call.sandbox.tokens
    given = call.params["token"]
    if given not in tokens.issued:
        raise not_found("Unknown token")
    left = (tokens.issued[given] - call.sandbox.clock.now_ms()) // 1000
    return json_reply(
        {
            "token": given,
            "user": "owner1@hubspot-sandbox.example",
            "hub_domain": "hubspot-sandbox.example",
            "scopes": sorted(tokens.scopes),
            "hub_id": call.sandbox.options.portal.portal_id,
            "app_id": 1,
            "expires_in": max(0, left),
            "user_id": 1,
            "token_type": "access",
        }
    )


def private_app_token_info(call: Call) -> Reply:
    """POST /oauth/v2/private-apps/get/access-token-info with `{"tokenKey": …}`."""
    if call.json_object().get("tokenKey") != call.sandbox.tokens.static:
        raise not_found("Unknown token")
    return json_reply(
        {
            "userId": 1,
            "hubId": call.sandbox.options.portal.portal_id,
            "appId": 1,
            "scopes": sorted(call.sandbox.tokens.scopes),
        }
    )
