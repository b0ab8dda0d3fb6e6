"""Every setting, once: name, type, default, title and description.

The JSON schema that `--about` prints and the SDK validates is made from `SETTINGS`. Only `Settings.from_config` reads
the string keys, except for the SDK's own settings (`load_method`) and target-postgres' connector. The settings of
meltanolabs-target-postgres keep their names, defaults and meaning, so that its configuration works unchanged.
"""

from __future__ import annotations

import decimal
import json
import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from target_warehouse.destination import DEFAULT_WAREHOUSE, SSL_MODES, check_file_name, destination
from target_warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "TARGET_WAREHOUSE_"


@dataclass(frozen=True)
class Setting:
    """One setting. `type` is a JSON schema type; the name of a nested setting has a dot (`ssh_tunnel.host`)."""

    name: str
    type: str
    title: str
    description: str
    default: Any = None
    secret: bool = False

    def json_schema(self) -> dict[str, Any]:
        """The JSON schema of this setting."""
        schema: dict[str, Any] = {
            "type": [self.type, "null"],
            "title": self.title,
            "description": self.description,
        }
        if self.default is not None:
            schema["default"] = self.default
        if self.secret:
            schema |= {"secret": True, "writeOnly": True}
        return schema


_WITHOUT_URL = "Ignored when `sqlalchemy_url` is set."

SETTINGS = (
    Setting(
        "warehouse",
        "string",
        "Warehouse",
        "URL of the warehouse: `duckdb:///relative/file.duckdb`, `duckdb:////absolute/file.duckdb` or "
        "`postgresql://user:password@host:port/database`. If this setting is not given, but `host` or "
        "`sqlalchemy_url` is, the target loads into that PostgreSQL database.",
        default=DEFAULT_WAREHOUSE,
        secret=True,
    ),
    Setting(
        "default_target_schema",
        "string",
        "Schema",
        "Schema for the tables. If empty, a stream called `schema-table` names its own schema.",
        default="melty",
    ),
    Setting(
        "views_schema",
        "string",
        "Schema of views",
        "Schema for views, one for each table of `default_target_schema`. A view shows the live rows without the "
        "`_sdc_` columns and adds the names of owners, pipelines, stages and associated records. If empty, no views "
        "are made.",
    ),
    Setting(
        "hard_delete",
        "boolean",
        "Hard delete",
        "Remove deleted rows instead of marking them in `_sdc_deleted_at`.",
        default=False,
    ),
    Setting(
        "activate_version",
        "boolean",
        "Process ACTIVATE_VERSION",
        "Delete the rows of older versions when an ACTIVATE_VERSION message arrives. Needs `add_record_metadata`.",
        default=True,
    ),
    Setting(
        "add_record_metadata",
        "boolean",
        "Add metadata columns",
        "Add the columns `_sdc_extracted_at`, `_sdc_received_at`, `_sdc_batched_at`, `_sdc_deleted_at`, "
        "`_sdc_sequence`, `_sdc_table_version` and `_sdc_sync_started_at` to every table.",
        default=True,
    ),
    Setting(
        "batch_size_rows",
        "integer",
        "Batch size, rows",
        "Maximum number of records of a stream in one commit. A batch is also limited to 28 MB of input.",
        default=100_000,
    ),
    Setting(
        "commit_interval_seconds",
        "number",
        "Commit interval, seconds",
        "Maximum time that a STATE message waits for its rows: after it, everything read so far is committed.",
        default=5,
    ),
    Setting(
        "lock_timeout_seconds",
        "number",
        "Lock timeout, seconds",
        "Maximum time to wait for a DuckDB file that another process has open, or for a lock of another session in "
        "PostgreSQL.",
        default=10,
    ),
    Setting(
        "max_rejected",
        "integer",
        "Rejected records allowed",
        "Maximum number of rejected records. Records that cannot be loaded are kept in the table `_rejected_records`, "
        "and everything else is loaded. If there are more than this number, the run fails at its end.",
        default=0,
    ),
    Setting(
        "dry_run",
        "boolean",
        "Dry run",
        "Change nothing: load into temporary copies of the tables, log what would be created, changed, deleted and "
        "rejected, and print no STATE. Set it in the environment of a single run.",
        default=False,
    ),
    Setting(
        "sanitize_null_text_characters",
        "boolean",
        "Replace NUL characters",
        "Replace the character U+0000 in text by U+FFFD without a warning, also in keys. PostgreSQL cannot store this "
        "character: by default it is replaced there with a warning, and a record with it in a key is rejected.",
        default=False,
    ),
    Setting(
        "interpret_content_encoding",
        "boolean",
        "Interpret content encoding",
        "Store strings whose schema has `contentEncoding: base16` as bytes.",
        default=False,
    ),
    Setting("host", "string", "Host", f"Host of the PostgreSQL server. {_WITHOUT_URL}"),
    Setting("port", "integer", "Port", f"Port of the PostgreSQL server. {_WITHOUT_URL}", default=5432),
    Setting("user", "string", "User", f"PostgreSQL user. {_WITHOUT_URL}"),
    Setting("password", "string", "Password", f"Password of the user. {_WITHOUT_URL}", secret=True),
    Setting("database", "string", "Database", f"Name of the PostgreSQL database. {_WITHOUT_URL}"),
    Setting(
        "sqlalchemy_url",
        "string",
        "SQLAlchemy URL",
        "SQLAlchemy URL of a PostgreSQL database. Overrides the settings for host, port, user, password, database and "
        "TLS.",
        secret=True,
    ),
    Setting(
        "dialect+driver",
        "string",
        "Dialect and driver",
        "Deprecated in target-postgres; do not change it.",
        default="postgresql+psycopg",
    ),
    Setting(
        "use_copy",
        "boolean",
        "Use COPY",
        "Accepted for compatibility with target-postgres; no effect. Rows are always written by binary COPY.",
        default=False,
    ),
    Setting("ssl_enable", "boolean", "Use TLS", f"Connect by TLS. {_WITHOUT_URL}", default=False),
    Setting(
        "ssl_client_certificate_enable",
        "boolean",
        "Use a client certificate",
        f"Log in with a client certificate. {_WITHOUT_URL}",
        default=False,
    ),
    Setting(
        "ssl_mode",
        "string",
        "TLS mode",
        f"One of {', '.join(SSL_MODES)}. {_WITHOUT_URL}",
        default="verify-full",
    ),
    Setting(
        "ssl_certificate_authority",
        "string",
        "Certificate authority",
        f"Certificate of the authority, as text or as the path of a file. {_WITHOUT_URL}",
        default="~/.postgresql/root.crl",
    ),
    Setting(
        "ssl_client_certificate",
        "string",
        "Client certificate",
        f"Client certificate, as text or as the path of a file. {_WITHOUT_URL}",
        default="~/.postgresql/postgresql.crt",
    ),
    Setting(
        "ssl_client_private_key",
        "string",
        "Client key",
        f"Private key of the client certificate, as text or as the path of a file. {_WITHOUT_URL}",
        default="~/.postgresql/postgresql.key",
        secret=True,
    ),
    Setting(
        "ssl_storage_directory",
        "string",
        "Certificate folder",
        "Folder for certificates and keys given as text; the driver only reads files.",
        default=".secrets",
    ),
    Setting("ssh_tunnel.enable", "boolean", "Use an SSH tunnel", "Connect through a bastion host.", default=False),
    Setting("ssh_tunnel.host", "string", "SSH host", "Host name of the bastion host."),
    Setting("ssh_tunnel.port", "integer", "SSH port", "SSH port of the bastion host.", default=22),
    Setting("ssh_tunnel.username", "string", "SSH user", "User on the bastion host."),
    Setting("ssh_tunnel.private_key", "string", "SSH key", "Private key, as text.", secret=True),
    Setting(
        "ssh_tunnel.private_key_password", "string", "SSH key password", "Password of the key, if any.", secret=True
    ),
)


def config_json_schema() -> dict[str, Any]:
    """The JSON schema of the whole configuration; nested settings are in their objects."""
    properties: dict[str, Any] = {}
    for setting in SETTINGS:
        parent, _, child = setting.name.rpartition(".")
        if parent:
            group = {"type": ["object", "null"], "title": "SSH tunnel", "properties": {}}
            properties.setdefault(parent, group)["properties"][child] = setting.json_schema()
        else:
            properties[setting.name] = setting.json_schema()
    return {"type": "object", "properties": properties}


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
        _check_views_schema(full["views_schema"] or "", full["default_target_schema"] or "")
        path, postgres = destination(full)
        for schema in (full["default_target_schema"], full["views_schema"]):
            check_file_name(path, schema)
        return cls(
            duckdb_path=path,
            postgres=postgres,
            default_target_schema=full["default_target_schema"] or "",
            views_schema=full["views_schema"] or "",
            hard_delete=full["hard_delete"],
            activate_version=full["activate_version"],
            interpret_content_encoding=full["interpret_content_encoding"],
            batch_size_rows=full["batch_size_rows"],
            commit_interval_seconds=float(full["commit_interval_seconds"]),
            lock_timeout_seconds=float(full["lock_timeout_seconds"]),
            max_rejected=full["max_rejected"],
            dry_run=full["dry_run"],
            sanitize_null_text_characters=full["sanitize_null_text_characters"],
        )


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
