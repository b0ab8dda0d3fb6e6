"""The part of a run's configuration that the load history may keep: values other than the defaults, and no secret.

Secret settings are left out. The warehouse is given by its location, without user, password and parameters. Settings
of any form, such as stream maps, and long texts, such as certificates, may contain secrets, so they are only marked as
set. Keys that are not settings are left out.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from target_warehouse.errors import SettingsError
from target_warehouse.setting_definitions import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_warehouse.settings import Settings

_IS_SET = "(set)"
_LONG = 100  # characters; every setting whose text is worth keeping is shorter
#: The SDK's own settings, which are not in `SETTINGS`, and their defaults.
_OF_THE_SDK: dict[str, Any] = {
    "load_method": "append-only",
    "validate_records": True,
    "process_activate_version_messages": True,
    "flattening_enabled": None,
    "flattening_max_depth": None,
    "stream_maps": None,
    "stream_map_config": None,
}


def configuration_of(file: str) -> dict[str, Any]:
    """The configuration in a JSON file.

    Raises:
        SettingsError: the file cannot be read, or is not a JSON object.
    """
    try:
        config = json.loads(Path(file).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        msg = f"The configuration {file} cannot be read: {error.strerror}."
        raise SettingsError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"The configuration {file} is not JSON."
        raise SettingsError(msg) from error
    if not isinstance(config, dict):
        msg = f'The configuration {file} is not a JSON object: it must look like {{"warehouse": "duckdb:///file.duckdb"}}.'
        raise SettingsError(msg)
    return config


def redacted_configuration(config: Mapping[str, Any], settings: Settings) -> str:
    """The configuration as a JSON object, without secrets and without settings that have their defaults."""
    shown: dict[str, Any] = {"warehouse": location(settings)}
    for setting in SETTINGS:
        parent, _, child = setting.name.rpartition(".")
        value = ((config.get(parent) or {}) if parent else config).get(child)
        if not setting.secret and value is not None and value != setting.default:
            shown[setting.name] = _short(value)
    of_the_sdk = {
        name: value for name, default in _OF_THE_SDK.items() if (value := config.get(name, default)) != default
    }
    shown |= {name: _short(value) for name, value in of_the_sdk.items()}
    return json.dumps(shown, default=str, sort_keys=True)


def location(settings: Settings) -> str:
    """The location of the warehouse as a URL without user, password and parameters."""
    if settings.postgres is None:
        return f"duckdb:///{(settings.duckdb_path or '').partition('?')[0]}"
    from sqlalchemy.engine import make_url  # takes a tenth of a second, which DuckDB users are spared

    config = settings.postgres
    text = config["warehouse"] or config["sqlalchemy_url"]
    if not text:
        return f"postgresql://{config['host']}:{config['port']}/{config['database']}"
    url = make_url(text)
    return f"postgresql://{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _short(value: Any) -> Any:
    is_short = isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= _LONG)
    return value if is_short else _IS_SET
