"""The configuration, checked and typed.

Only `Settings.from_config` reads the names of settings as text, except for the SDK's own settings (`load_method`) and
target-postgres' connector. `setting_definitions` has what each setting is for.
"""

from __future__ import annotations

import decimal
import json
import math
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from target_warehouse.destination import check_file_name, destination
from target_warehouse.errors import SettingsError
from target_warehouse.setting_definitions import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "TARGET_WAREHOUSE_"


@dataclass(frozen=True)
class Settings:
    """The checked configuration. Either `duckdb_path` or `postgres` is set."""

    duckdb_path: str | None
    postgres: Mapping[str, Any] | None = field(repr=False)
    default_target_schema: str
    views_schema: str
    hard_delete: bool
    activate_version: bool
    interpret_content_encoding: bool
    batch_size_rows: int
    commit_interval_seconds: float
    lock_timeout_seconds: float
    max_rejected: int
    dry_run: bool
    sanitize_null_text_characters: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """The settings of a configuration that follows `config_json_schema`.

        Raises:
            SettingsError: a setting is malformed, missing, or contradicts another setting.
        """
        check_types(config)
        full = _with_defaults(config)
        if full["activate_version"] and not full["add_record_metadata"]:
            msg = (
                "The setting activate_version needs add_record_metadata: set add_record_metadata to true, "
                "or activate_version to false to ignore ACTIVATE_VERSION messages."
            )
            raise SettingsError(msg)
        if full["batch_size_rows"] < 1:
            msg = "The setting batch_size_rows must be at least 1."
            raise SettingsError(msg)
        schemas = ("default_target_schema", "views_schema")
        full |= {name: full[name] or "" for name in schemas}
        full |= {name: float(full[name]) for name in ("commit_interval_seconds", "lock_timeout_seconds")}
        _check_views_schema(full["views_schema"], full["default_target_schema"])
        path, postgres = destination(full)
        for name in schemas:
            check_file_name(path, full[name])
        named = {each.name: full[each.name] for each in fields(cls) if each.name in full}
        return cls(**named | {"duckdb_path": path, "postgres": postgres})


def _check_views_schema(views: str, tables: str) -> None:
    if views and not tables:
        msg = "The setting views_schema needs default_target_schema, because views show the tables of that schema."
        raise SettingsError(msg)
    if views and views.casefold() == tables.casefold():
        msg = "The settings views_schema and default_target_schema must differ, because a view has its table's name."
        raise SettingsError(msg)


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float, decimal.Decimal),  # the SDK reads a file's fractions as Decimal
    "boolean": (bool,),
}


def check_types(config: Mapping[str, Any]) -> None:
    """Check the type of every setting that is given; null means not given.

    The SDK checks the types too, but its message contains the value, which may be a password.

    Raises:
        SettingsError: a setting has another type; the message names the setting and its type, not the value.
    """
    for setting in SETTINGS:
        parent, _, child = setting.name.rpartition(".")
        group = (config.get(parent) or {}) if parent else config
        value = group.get(child) if isinstance(group, dict | MappingProxyType) else group
        if value is None:
            continue
        is_right = isinstance(value, _PYTHON_TYPES[setting.type])
        if not is_right or (isinstance(value, bool) and setting.type != "boolean"):
            msg = f"The setting {setting.name} must be of the type {setting.type}."
            raise SettingsError(msg)


def config_from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings in `TARGET_WAREHOUSE_…` variables; the dot of a nested setting is an underscore.

    Raises:
        SettingsError: the text of a variable does not have the setting's type.
    """
    config: dict[str, Any] = {}
    for setting in SETTINGS:
        variable = ENVIRONMENT_PREFIX + setting.name.upper().replace(".", "_").replace("+", "_")
        text = environment.get(variable)
        if not text:
            continue
        try:
            value = text if setting.type == "string" else json.loads(text.lower())
        except ValueError:
            value = None
        if value is None or (setting.type == "boolean") is not isinstance(value, bool):
            msg = f"The environment variable {variable} must be of the type {setting.type}."
            raise SettingsError(msg)
        parent, _, child = setting.name.rpartition(".")
        (config.setdefault(parent, {}) if parent else config)[child] = value
    return config


def with_numbers(config: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings from environment variables with their numbers, which the SDK leaves as texts.

    A text that is not a finite number stays, and the check of the settings' types reports it.
    """
    return {
        name: _number(value) if isinstance(value, str) and "number" in properties[name]["type"] else value
        for name, value in config.items()
    }


def _number(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    full: dict[str, Any] = dict(config)
    for setting in SETTINGS:
        parent, _, child = setting.name.rpartition(".")
        if parent:
            full[parent] = dict(full.get(parent) or {})
        group = full[parent] if parent else full
        if group.get(child) is None:
            group[child] = setting.default
    return full
