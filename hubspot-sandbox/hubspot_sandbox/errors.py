"""HubSpot's error replies: a status and a body with HubSpot's keys. The sender adds the correlation id."""

from __future__ import annotations

from typing import Any


class HubSpotError(Exception):
    """Ends a request with one of HubSpot's error replies."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('message', '')}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def validation(message: str, *, code: str | None = None, context: dict[str, list[str]] | None = None) -> HubSpotError:
    """400 VALIDATION_ERROR."""
    detail: dict[str, Any] = {"message": message}
    if code:
        detail["code"] = code
    if context:
        detail["context"] = context
    body = {
        "status": "error",
        "message": message,
        "errors": [detail],
        "category": "VALIDATION_ERROR",
        "links": {},
    }
    return HubSpotError(400, body)


def not_found(message: str = "resource not found") -> HubSpotError:
    """404 OBJECT_NOT_FOUND."""
    return HubSpotError(404, {"status": "error", "message": message, "category": "OBJECT_NOT_FOUND"})


def unknown_type(text: str) -> HubSpotError:
    """400 without a category, as observed for unknown names and unknown type ids."""
    looks_like_id = text.replace("-", "").isdigit()
    message = (
        f"Invalid object or event type id: {text}" if looks_like_id else f"Unable to infer object type from: {text}"
    )
    return HubSpotError(400, {"status": "error", "message": message})


def no_credentials() -> HubSpotError:
    """401 for a missing Authorization header, or one that is not a Bearer header."""
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    return HubSpotError(401, {"status": "error", "message": message, "category": "INVALID_AUTHENTICATION"})


def expired_token(seconds: int, expired_at: str) -> HubSpotError:
    """401 for an expired OAuth token; unknown tokens get it too, with a large number of days (observed)."""
    ago = f"{seconds} second(s)" if seconds < 86_400 else f"{seconds // 86_400} day(s)"
    return HubSpotError(
        401,
        {
            "status": "error",
            "message": f"The OAuth token used to make this call expired {ago} ago.",
            "category": "EXPIRED_AUTHENTICATION",
            "context": {"expire time": [expired_at]},
        },
    )


def missing_scopes(scopes: list[str]) -> HubSpotError:
    """403 with a list of scopes, any one of which is enough."""
    return HubSpotError(
        403,
        {
            "status": "error",
            "message": "This app hasn't been granted all required scopes to make this call. "
            "Read more about required scopes here: https://developers.hubspot.com/scopes.",
            "errors": [
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": scopes},
                }
            ],
            "links": {"scopes": "https://developers.hubspot.com/scopes"},
            "category": "MISSING_SCOPES",
        },
    )


def invalid_json(detail: str) -> HubSpotError:
    """400 for a body that is not JSON or does not have the form that the endpoint takes."""
    return HubSpotError(
        400,
        {
            "status": "error",
            "message": f"Invalid input JSON: {detail}",
            "category": "VALIDATION_ERROR",
        },
    )


HTML_414 = (
    "<html>\r\n<head><title>414 Request-URI Too Large</title></head>\r\n<body>\r\n<center><h1>414 Request-URI Too Large"
    "</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


def cloudflare_html(status: int) -> str:
    """The page that Cloudflare sends when HubSpot does not answer."""
    reason = {
        502: "Bad gateway",
        503: "Service temporarily unavailable",
        504: "Gateway time-out",
        520: "Web server is returning an unknown error",
        521: "Web server is down",
        522: "Connection timed out",
        523: "Origin is unreachable",
        524: "A timeout occurred",
    }.get(status, "Error")
    return (
        '<!DOCTYPE html>\n<html lang="en-US">\n'
        f"<head><title>api.hubapi.com | {status}: {reason}</title></head>\n<body>\n"
        f'<div id="cf-error-details"><h1>{reason} <span>Error code {status}</span></h1>\n'
        '<div>Visit <a href="https://www.cloudflare.com/5xx-error-landing">cloudflare.com</a> for more information.'
        "</div></div>\n</body>\n</html>\n"
    )
