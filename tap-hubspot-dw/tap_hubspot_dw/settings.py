"""The tap's settings, each declared once: its type, default, title and description.

`CONFIG_JSONSCHEMA`, which the SDK checks a configuration with, is made from the fields of `Settings`. Only
`Settings.from_config` reads the string keys; all other code uses the fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, cast

from singer_sdk import typing as th

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.routes import API_VERSIONS
from tap_hubspot_dw.setting_types import (
    COUNT,
    FLAG,
    HOURS,
    IDS,
    IDS_IN_FILE,
    MINUTES,
    NUMBER,
    OBJECTS,
    OPTIONAL_COUNT,
    OPTIONAL_TEXT,
    PAIRS,
    PATTERNS,
    PERCENT,
    TEXT,
    TIMESTAMP,
    TYPE_IDS,
    URL,
    setting,
)

DEFAULT_OBJECTS = ["contacts", "appointments", "divisions", "deals"]
_OAUTH = ("client_id", "client_secret", "refresh_token")


@dataclass(frozen=True)
class Settings:
    """The checked settings of a run."""

    access_token: str | None = setting(
        OPTIONAL_TEXT,
        "Access token",
        "Token of a service key or of an existing private app. Set this or the three OAuth settings.",
        secret=True,
    )
    client_id: str | None = setting(
        OPTIONAL_TEXT,
        "OAuth client id",
        "Client id of your OAuth app.",
    )
    client_secret: str | None = setting(
        OPTIONAL_TEXT,
        "OAuth client secret",
        "Client secret of your OAuth app.",
        secret=True,
    )
    refresh_token: str | None = setting(
        OPTIONAL_TEXT,
        "OAuth refresh token",
        "Refresh token of the account that installed your OAuth app.",
        secret=True,
    )
    api_url: str = setting(
        URL,
        "API URL",
        "Base URL of HubSpot's API. The default serves all accounts; a sandbox or a proxy has its own.",
        default="https://api.hubapi.com",
    )
    api_version: str = setting(
        TEXT,
        "API version",
        "The version of HubSpot's API to use.",
        default=API_VERSIONS[0],
        allowed_values=list(API_VERSIONS),
    )
    objects: tuple[str, ...] = setting(
        OBJECTS,
        "Objects",
        "The objects to read, one stream for each: standard objects by name, "
        "custom objects by name, label or object type id.",
        default=DEFAULT_OBJECTS,
    )
    object_type_ids: Mapping[str, str] = setting(
        TYPE_IDS,
        "Object type ids",
        'Object type ids for names in `objects`: `{"divisions": "2-3821545"}`.',
        default={},
    )
    include_properties: Mapping[str, Sequence[str]] = setting(
        PATTERNS,
        "Include properties",
        "Patterns of the properties to read, by object (`*`: every object): "
        '`{"contacts": ["email", "hs_*"]}`. An object without patterns is read with all properties. A property '
        "name under its object is requested, as text, even if HubSpot does not list it.",
        default={},
    )
    exclude_properties: Mapping[str, Sequence[str]] = setting(
        PATTERNS,
        "Exclude properties",
        "Patterns of the properties to leave out, by object (`*`: every object): "
        '`{"*": ["hs_analytics_*"]}`. They take precedence over `include_properties`.',
        default={},
    )
    properties_as_json: bool = setting(
        FLAG,
        "Properties as JSON",
        "Write all properties of a record to one column `properties`, a JSON object of HubSpot's "
        "texts, instead of one column for each property.",
        default=False,
    )
    associations: bool = setting(
        FLAG,
        "Associations",
        "Whether to read associations.",
        default=True,
    )
    association_pairs: tuple[tuple[str, str], ...] | None = setting(
        PAIRS,
        "Association pairs",
        'The pairs of `objects` whose associations are read: `["contacts:deals"]`. '
        "By default every pair, including each object with itself.",
    )
    start_date: datetime | None = setting(
        TIMESTAMP,
        "Start date",
        "A stream without a bookmark reads the changes since this date, instead of everything.",
    )
    reread_since: datetime | None = setting(
        TIMESTAMP,
        "Re-read since",
        "Read the changes since this date again, regardless of the bookmarks, which advance as usual. "
        "Set it for one run, in its environment.",
    )
    max_records: int | None = setting(
        OPTIONAL_COUNT,
        "Maximum records",
        "Read a sample: stop every stream after this number of records. Bookmarks do not advance.",
        minimum=1,
    )
    only_ids: Mapping[str, Sequence[str]] | None = setting(
        IDS,
        "Only these ids",
        "Read only these records and their associations, as HubSpot has them now: "
        '`{"contacts": ["1", "2"]}`; with `reread_since` also the records that changed since then, and with '
        '`"owners": ["*"]` all owners (likewise `pipelines`, `pipeline_stages` and `properties`). The state '
        "stays as it is, and gives the rows their version; `sync_history` has HubSpot's totals. Set it for one run, in "
        "its environment.",
    )
    known_ids: Mapping[str, Sequence[int]] = setting(
        IDS_IN_FILE,
        "Known ids",
        "A JSON file with the ids of all live records of a table, by object as in `only_ids`. The tap "
        "compares them with HubSpot's totals over ranges of ids, and reads only the records that the table or "
        "HubSpot lacks. For `warehouse verify`.",
    )
    lookback: timedelta = setting(
        MINUTES,
        "Look-back (minutes)",
        "How far before its bookmark a run starts reading: "
        "HubSpot's search index has been observed to be an hour late.",
        key="lookback_minutes",
        default=60,
        minimum=0,
        maximum=525_600,
    )
    full_refresh: timedelta | None = setting(
        HOURS,
        "Full refresh (hours)",
        "Read a stream in full again when its last full pass is older than this; "
        "only a full pass finds permanently deleted records. 0: never.",
        key="full_refresh_hours",
        default=168,
        maximum=1_000_000,
    )
    association_refresh: timedelta | None = setting(
        HOURS,
        "Association refresh (hours)",
        "Read associations in full again when their last full pass is older than this; "
        "only a full pass finds removed associations. 0: never.",
        key="association_refresh_hours",
        default=24,
        maximum=1_000_000,
    )
    archived_from_start: bool = setting(
        FLAG,
        "Archived from the start",
        "A run without state also reads the records that were archived before it, as deleted rows with HubSpot's time "
        "and without their properties. HubSpot lists them for 90 days.",
        default=False,
    )
    activate_versions: bool = setting(
        FLAG,
        "Activate versions",
        "After a full pass, have the target mark as deleted the records that HubSpot no longer has.",
        default=True,
    )
    scoped_versions: bool = setting(
        FLAG,
        "Scoped versions",
        "Have deleted associations, pipelines and properties marked only for the objects that a run "
        "has read, which target-warehouse understands. Set it to false for other targets: they mark deletions "
        "when a run has read all objects that its state names.",
        default=True,
    )
    page_size: int = setting(
        COUNT,
        "Page size",
        "Records in a page of a list; a page of a search has twice as many. "
        "Smaller pages need more requests and less memory.",
        default=100,
        minimum=1,
        maximum=100,
    )
    daily_reserve: float = setting(
        PERCENT,
        "Daily reserve (percent)",
        "Keep this share of the account's daily requests for others: below it the run ends "
        "with its state and exit code 75.",
        key="daily_reserve_percent",
        default=5,
        minimum=0,
        maximum=100,
    )
    progress_seconds: float = setting(
        NUMBER,
        "Progress (seconds)",
        "How often the log shows the progress of each stream. 0: never.",
        default=5,
    )
    workers: int = setting(
        COUNT,
        "Workers",
        "How many pages to fetch and convert at once for each of HubSpot's three rate limits; "
        "a stream's single requests come on top. HubSpot's limits are kept with any number.",
        default=8,
        minimum=1,
    )
    request_timeout_seconds: float = setting(
        NUMBER,
        "Request timeout (seconds)",
        "How long a reply may stay silent before the request is retried.",
        default=60,
        minimum=1,
    )

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
        values = {
            declared.name: declared.metadata["type"].read(_key(declared), config.get(_key(declared)), config)
            for declared in fields(cls)
        }
        if values["known_ids"] and values["only_ids"] is None:
            values["only_ids"] = {}
        return cls(**values)


def _key(declared: Field[Any]) -> str:
    return str(declared.metadata["key"] or declared.name)


CONFIG_JSONSCHEMA = cast(
    "dict[str, Any]",
    th.PropertiesList(
        *(
            th.Property(_key(declared), declared.metadata["type"].schema, **declared.metadata["options"])
            for declared in fields(Settings)
        )
    ).to_dict(),
)
