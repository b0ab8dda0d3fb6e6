"""The run's configuration as the history shows it: the settings that differ from their defaults, without secrets.

Secret settings are left out, and so are keys that are not settings. Of the SDK's own settings, such as stream maps,
which may contain anything, it shows only that they are set; of the API's URL only the host.
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
        SettingsError: the file cannot be read, or is not a JSON object.
    """
    try:
        config = json.loads(Path(file).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SettingsError(f"The configuration {file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The configuration {file} is not JSON.") from error
    if not isinstance(config, dict):
        raise SettingsError(
            f'The configuration {file} is not a JSON object: it must look like {{"access_token": "…"}}.'
        )
    return config


def reported_configuration(config: Mapping[str, Any]) -> str:
    """Return the configuration as JSON text, without secrets and without settings that have their defaults."""
    reported: dict[str, Any] = {}
    for name, schema in CONFIG_JSONSCHEMA["properties"].items():
        value = config.get(name)
        if value is not None and value != schema.get("default") and not schema.get("secret"):
            reported[name] = value
    if "api_url" in reported:
        reported["api_url"] = urlsplit(reported["api_url"]).hostname
    reported |= {name: _IS_SET for name in _OF_THE_SDK if config.get(name)}
    return json.dumps(reported, default=str, sort_keys=True)
