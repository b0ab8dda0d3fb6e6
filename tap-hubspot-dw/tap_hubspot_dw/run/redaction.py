"""What the history may tell of a run's configuration: what differs from the defaults, and never a secret.

A secret setting is left out. Of the SDK's own settings, such as stream maps, which may hold anything, it tells only
that they are set; what is not a setting is not told at all. Of the API's URL it tells the host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.settings import CONFIG_JSONSCHEMA

_IS_SET = "(set)"
_OF_THE_SDK = ("stream_maps", "stream_map_config", "flattening_enabled", "flattening_max_depth", "batch_config")


def configuration_of(file: str) -> dict[str, Any]:
    """Return the configuration in a JSON file.

    Raises:
        SettingsError: it cannot be read, or has no JSON object.
    """
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SettingsError(f"The configuration {file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The configuration {file} is not JSON.") from error
    if not isinstance(found, dict):
        raise SettingsError(
            f'The configuration {file} is not a JSON object: it must look like {{"access_token": "…"}}.'
        )
    return found


def reported_configuration(config: Mapping[str, Any]) -> str:
    """Return the configuration as a JSON object, the settings that have their defaults left out."""
    reported: dict[str, Any] = {}
    for name, schema in CONFIG_JSONSCHEMA["properties"].items():
        value = config.get(name)
        if value is not None and value != schema.get("default") and not schema.get("secret"):
            reported[name] = value
    if "api_url" in reported:
        reported["api_url"] = urlsplit(reported["api_url"]).hostname
    reported |= {name: _IS_SET for name in _OF_THE_SDK if config.get(name)}
    return json.dumps(reported, default=str, sort_keys=True)
