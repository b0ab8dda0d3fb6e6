"""The tap's settings, each declared once with its type, default, title and description.

Only `Settings.from_config` reads the string keys; all other code uses typed attributes.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from singer_sdk import typing as th

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.object_types import TYPE_ID
from tap_hubspot_dw.routes import API_VERSIONS
from tap_hubspot_dw.timestamps import parse_timestamp

DEFAULT_OBJECTS = ["contacts", "appointments", "divisions", "deals"]
OWN_STREAMS = {"owners", "pipelines", "pipeline_stages", "properties", "associations", "sync_history"}

CONFIG_JSONSCHEMA: dict[str, Any] = cast(
    "dict[str, Any]",
    th.PropertiesList(
        th.Property(
            "access_token",
            th.StringType,
            secret=True,
            title="Access token",
            description="Token of a service key or of an existing private app. Set this or the three OAuth settings.",
        ),
        th.Property("client_id", th.StringType, title="OAuth client id", description="Client id of your OAuth app."),
        th.Property(
            "client_secret",
            th.StringType,
            secret=True,
            title="OAuth client secret",
            description="Client secret of your OAuth app.",
        ),
        th.Property(
            "refresh_token",
            th.StringType,
            secret=True,
            title="OAuth refresh token",
            description="Refresh token of the account that installed your OAuth app.",
        ),
        th.Property(
            "api_url",
            th.StringType,
            default="https://api.hubapi.com",
            title="API URL",
            description="Base URL of HubSpot's API. The default serves all accounts; a sandbox or a proxy has its own.",
        ),
        th.Property(
            "api_version",
            th.StringType,
            default=API_VERSIONS[0],
            allowed_values=list(API_VERSIONS),
            title="API version",
            description="The version of HubSpot's API to use.",
        ),
        th.Property(
            "objects",
            th.ArrayType(th.StringType),
            default=DEFAULT_OBJECTS,
            title="Objects",
            description="The objects to read, one stream for each: standard objects by name, "
            "custom objects by name, label or object type id.",
        ),
        th.Property(
            "object_type_ids",
            th.ObjectType(additional_properties=th.StringType),
            default={},
            title="Object type ids",
            description='Object type ids for names in `objects`: `{"divisions": "2-3821545"}`.',
        ),
        th.Property(
            "include_properties",
            th.ObjectType(additional_properties=th.ArrayType(th.StringType)),
            default={},
            title="Include properties",
            description="Patterns of the properties to read, by object (`*`: every object): "
            '`{"contacts": ["email", "hs_*"]}`. An object without patterns is read with all properties. A property '
            "name under its object is requested, as text, even if HubSpot does not list it.",
        ),
        th.Property(
            "exclude_properties",
            th.ObjectType(additional_properties=th.ArrayType(th.StringType)),
            default={},
            title="Exclude properties",
            description="Patterns of the properties to leave out, by object (`*`: every object): "
            '`{"*": ["hs_analytics_*"]}`. They take precedence over `include_properties`.',
        ),
        th.Property(
            "properties_as_json",
            th.BooleanType,
            default=False,
            title="Properties as JSON",
            description="Write all properties of a record to one column `properties`, a JSON object of HubSpot's "
            "texts, instead of one column for each property.",
        ),
        th.Property(
            "associations",
            th.BooleanType,
            default=True,
            title="Associations",
            description="Whether to read associations.",
        ),
        th.Property(
            "association_pairs",
            th.ArrayType(th.StringType),
            title="Association pairs",
            description='The pairs of `objects` whose associations are read: `["contacts:deals"]`. '
            "By default every pair, including each object with itself.",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            title="Start date",
            description="A stream without a bookmark reads the changes since this date, instead of everything.",
        ),
        th.Property(
            "reread_since",
            th.DateTimeType,
            title="Re-read since",
            description="Read the changes since this date again, regardless of the bookmarks, which advance as usual. "
            "Set it for one run, in its environment.",
        ),
        th.Property(
            "max_records",
            th.IntegerType,
            minimum=1,
            title="Maximum records",
            description="Read a sample: stop every stream after this number of records. Bookmarks do not advance.",
        ),
        th.Property(
            "only_ids",
            th.ObjectType(additional_properties=th.ArrayType(th.StringType)),
            title="Only these ids",
            description="Read only these records and their associations, as HubSpot has them now: "
            '`{"contacts": ["1", "2"]}`; with `reread_since` also the records that changed since then. State is '
            "neither read nor written; `sync_history` has HubSpot's totals. Set it for one run, in its environment.",
        ),
        th.Property(
            "known_ids",
            th.StringType,
            title="Known ids",
            description="A JSON file with the ids of all live records of a table, by object as in `only_ids`. The tap "
            "compares them with HubSpot's totals over ranges of ids, and reads only the records that the table or "
            "HubSpot lacks. For `warehouse verify`.",
        ),
        th.Property(
            "lookback_minutes",
            th.IntegerType,
            default=60,
            minimum=0,
            maximum=525_600,
            title="Look-back (minutes)",
            description="How far before its bookmark a run starts reading: "
            "HubSpot's search index has been observed to be an hour late.",
        ),
        th.Property(
            "full_refresh_hours",
            th.NumberType,
            default=168,
            maximum=1_000_000,
            title="Full refresh (hours)",
            description="Read a stream in full again when its last full pass is older than this; "
            "only a full pass finds permanently deleted records. 0: never.",
        ),
        th.Property(
            "association_refresh_hours",
            th.NumberType,
            default=24,
            maximum=1_000_000,
            title="Association refresh (hours)",
            description="Read associations in full again when their last full pass is older than this; "
            "only a full pass finds removed associations. 0: never.",
        ),
        th.Property(
            "activate_versions",
            th.BooleanType,
            default=True,
            title="Activate versions",
            description="After a full pass, have the target mark as deleted the records that HubSpot no longer has.",
        ),
        th.Property(
            "scoped_versions",
            th.BooleanType,
            default=True,
            title="Scoped versions",
            description="Have deleted associations, pipelines and properties marked only for the objects that a run "
            "has read, which target-warehouse understands. Set it to false for other targets: they mark deletions "
            "when a run has read all objects that its state names.",
        ),
        th.Property(
            "page_size",
            th.IntegerType,
            default=100,
            minimum=1,
            maximum=100,
            title="Page size",
            description="Records in a page of a list; a page of a search has twice as many. "
            "Smaller pages need more requests and less memory.",
        ),
        th.Property(
            "daily_reserve_percent",
            th.NumberType,
            default=5,
            minimum=0,
            maximum=100,
            title="Daily reserve (percent)",
            description="Keep this share of the account's daily requests for others: below it the run ends "
            "with its state and exit code 75.",
        ),
        th.Property(
            "progress_seconds",
            th.NumberType,
            default=5,
            title="Progress (seconds)",
            description="How often the log shows the progress of each stream. 0: never.",
        ),
        th.Property(
            "workers",
            th.IntegerType,
            default=8,
            minimum=1,
            title="Workers",
            description="How many pages to fetch and convert at once for each of HubSpot's three rate limits; "
            "a stream's single requests come on top. HubSpot's limits are kept with any number.",
        ),
        th.Property(
            "request_timeout_seconds",
            th.NumberType,
            default=60,
            minimum=1,
            title="Request timeout (seconds)",
            description="How long a reply may stay silent before the request is retried.",
        ),
    ).to_dict(),
)


@dataclass(frozen=True)
class Settings:
    """The checked settings of a run. `CONFIG_JSONSCHEMA` describes the attributes."""

    access_token: str | None
    client_id: str | None
    client_secret: str | None
    refresh_token: str | None
    api_url: str
    api_version: str
    objects: tuple[str, ...]
    object_type_ids: Mapping[str, str]
    include_properties: Mapping[str, Sequence[str]]
    exclude_properties: Mapping[str, Sequence[str]]
    properties_as_json: bool
    associations: bool
    association_pairs: tuple[tuple[str, str], ...] | None
    start_date: datetime | None
    reread_since: datetime | None
    max_records: int | None
    only_ids: Mapping[str, Sequence[str]] | None
    known_ids: Mapping[str, Sequence[int]]
    lookback: timedelta
    full_refresh: timedelta | None
    association_refresh: timedelta | None
    activate_versions: bool
    scoped_versions: bool
    page_size: int
    daily_reserve: float
    progress_seconds: float
    workers: int
    request_timeout_seconds: float

    def __repr__(self) -> str:
        """Return the settings without secrets."""
        shown = (field.name for field in fields(self) if not field.name.endswith(("token", "secret")))
        return f"Settings({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Return the settings in a tap's configuration.

        Raises:
            SettingsError: a value is missing or malformed; the message names it and the values it may have.
        """
        token, oauth = config.get("access_token"), [config.get(name) for name in _OAUTH]
        if not token and not all(oauth):
            raise SettingsError(
                "No token: set access_token (in the Meltano project: HUBSPOT_ACCESS_TOKEN in .env), "
                "or client_id, client_secret and refresh_token."
            )
        for name in ("access_token", *_OAUTH):
            secret = str(config.get(name) or "")
            if not (secret.isascii() and secret.isprintable() and secret == secret.strip()):
                raise SettingsError(f"The setting {name} has characters that no token has: paste it again.")
        known_ids = _known_ids(config.get("known_ids"), config["objects"])
        only_ids = _only_ids(config.get("only_ids"), config["objects"])
        return cls(
            access_token=token,
            client_id=config.get("client_id"),
            client_secret=config.get("client_secret"),
            refresh_token=config.get("refresh_token"),
            api_url=_url(config["api_url"]),
            api_version=config["api_version"],
            objects=_objects(config["objects"]),
            object_type_ids=_type_ids(config["object_type_ids"]),
            include_properties=_patterns("include_properties", config),
            exclude_properties=_patterns("exclude_properties", config),
            properties_as_json=config["properties_as_json"],
            associations=config["associations"],
            association_pairs=_pairs(config.get("association_pairs"), config["objects"]),
            start_date=_timestamp("start_date", config),
            reread_since=_timestamp("reread_since", config),
            max_records=config.get("max_records"),
            only_ids={} if known_ids and only_ids is None else only_ids,
            known_ids=known_ids,
            lookback=timedelta(minutes=config["lookback_minutes"]),
            full_refresh=_hours(config["full_refresh_hours"]),
            association_refresh=_hours(config["association_refresh_hours"]),
            activate_versions=config["activate_versions"],
            scoped_versions=config["scoped_versions"],
            page_size=config["page_size"],
            daily_reserve=float(config["daily_reserve_percent"]) / 100,
            progress_seconds=float(config["progress_seconds"]),
            workers=config["workers"],
            request_timeout_seconds=float(config["request_timeout_seconds"]),
        )


_OAUTH = ("client_id", "client_secret", "refresh_token")


def _url(text: str) -> str:
    if "@" in text:
        raise SettingsError("The setting api_url has a user or a password in it: HubSpot accepts only a token.")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SettingsError(f'The setting api_url is "{text}"; it must look like "https://api.hubapi.com".')
    return text.rstrip("/")


def _objects(names: list[str]) -> tuple[str, ...]:
    if taken := sorted(OWN_STREAMS.intersection(names)):
        raise SettingsError(
            f"The setting objects has {', '.join(taken)}, which is the name of one of the tap's own streams: "
            "give the object another name with object_type_ids."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        what = f"names {', '.join(repeated)} more than once" if repeated else "is empty"
        raise SettingsError(f'The setting objects {what}; list each object once, as in ["contacts", "deals"].')
    return tuple(names)


def _type_ids(type_ids: dict[str, str]) -> dict[str, str]:
    for name, type_id in type_ids.items():
        if not TYPE_ID.fullmatch(type_id):
            raise SettingsError(
                f'The setting object_type_ids gives "{type_id}" for "{name}", which is not an object type id '
                'such as "2-3821545".'
            )
    return type_ids


def _pairs(pairs: list[str] | None, objects: list[str]) -> tuple[tuple[str, str], ...] | None:
    if pairs is None:
        return None
    parsed = []
    for pair in pairs:
        ends = tuple(pair.split(":"))
        if len(ends) != 2 or not set(ends) <= set(objects):
            raise SettingsError(
                f'The setting association_pairs has "{pair}"; a pair is two names of the setting objects, '
                'as in "contacts:deals".'
            )
        parsed.append((ends[0], ends[1]))
    return tuple(parsed)


def _patterns(setting: str, config: Mapping[str, Any]) -> dict[str, list[str]]:
    patterns: dict[str, list[str]] = config[setting]
    for name in patterns:
        if name != "*" and name not in config["objects"]:
            raise SettingsError(
                f'The setting {setting} has patterns for "{name}", which is neither "*" nor one of the setting objects.'
            )
    return patterns


def _only_ids(ids: dict[str, list[str]] | None, objects: list[str]) -> dict[str, list[str]] | None:
    for name, texts in (ids or {}).items():
        if name not in objects:
            raise SettingsError(f'The setting only_ids has ids of "{name}", which is not one of the setting objects.')
        if not all(text.isascii() and text.isdigit() for text in texts):
            raise SettingsError(
                f'The setting only_ids has ids of "{name}" that are not numbers, as HubSpot\'s ids are.'
            )
    return ids


def _known_ids(file: str | None, objects: list[str]) -> dict[str, Sequence[int]]:
    if not file:
        return {}
    try:
        saved = json.loads(Path(file).read_text(encoding="utf-8"))
        ids: dict[str, Sequence[int]] = {name: array("Q", sorted(map(int, values))) for name, values in saved.items()}
    except OSError as error:
        raise SettingsError(f"The file {file} of the setting known_ids cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise SettingsError(f"The file {file} of the setting known_ids is not an object of lists of ids.") from error
    if unknown := sorted(ids.keys() - set(objects)):
        raise SettingsError(
            f"The file of the setting known_ids has ids of {', '.join(unknown)}, which the setting objects lacks."
        )
    return ids


def _timestamp(setting: str, config: Mapping[str, Any]) -> datetime | None:
    text = config.get(setting)
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise SettingsError(
            f'The setting {setting} is "{text}"; write a date such as "2026-01-31" or "2026-01-31T08:00:00Z".'
        ) from error


def _hours(hours: float) -> timedelta | None:
    return timedelta(hours=float(hours)) if hours > 0 else None  # the SDK reads fractions as Decimal
