"""Every setting, once: name, type, default, title and description.

`SETTINGS` makes the JSON schema that `--about` prints and the SDK validates; `Settings.from_config` is the only
reader of the string keys, but for the SDK's own (`load_method`) and target-postgres' connector. The settings of
meltanolabs-target-postgres are here with their names, their defaults and their meaning, so that its configuration can
be used unchanged.
"""

from __future__ import annotations

import decimal
import json
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
    """One setting. `type` is a JSON schema type; nested settings carry a dot (`ssh_tunnel.host`)."""

    name: str
    type: str
    title: str
    description: str
    default: Any = None
    secret: bool = False

    def json_schema(self) -> dict[str, Any]:
        """The setting's own part of the configuration's JSON schema."""
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
        "Where the tables are: `duckdb:///relative/file.duckdb`, `duckdb:////absolute/file.duckdb` or "
        "`postgresql://user:password@host:port/database`. When `host` or `sqlalchemy_url` is given and this "
        "setting is not, the warehouse is that PostgreSQL.",
        default=DEFAULT_WAREHOUSE,
        secret=True,
    ),
    Setting(
        "default_target_schema",
        "string",
        "Schema",
        "The schema that gets the tables. Empty: a stream called `schema-table` names its own.",
        default="melty",
    ),
    Setting(
        "views_schema",
        "string",
        "Schema of views",
        "A schema that gets a view of the live rows of every table of `default_target_schema`, without the `_sdc_` "
        "columns and with the names of owners, pipelines, stages and associated records. Empty: no views.",
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
        "Whether an ACTIVATE_VERSION message deletes the rows of older versions; needs `add_record_metadata`.",
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
        "Records of a stream that are committed together at most; a batch is also bounded by 28 MB of input.",
        default=100_000,
    ),
    Setting(
        "commit_interval_seconds",
        "number",
        "Commit interval, seconds",
        "While a STATE message waits for its rows, everything read so far is committed after this time.",
        default=5,
    ),
    Setting(
        "lock_timeout_seconds",
        "number",
        "Lock timeout, seconds",
        "How long to wait for a DuckDB file that another process has open, or for a lock that another session holds in "
        "PostgreSQL.",
        default=10,
    ),
    Setting(
        "max_rejected",
        "integer",
        "Rejected records allowed",
        "Records that cannot become rows are kept in the table `_rejected_records` and everything else is loaded; with "
        "more of them than this the run fails at its end.",
        default=0,
    ),
    Setting(
        "dry_run",
        "boolean",
        "Dry run",
        "Change nothing: load into copies of the tables that are thrown away, tell what would be created, changed, "
        "deleted and rejected, and print no STATE. For one run, in its environment.",
        default=False,
    ),
    Setting(
        "sanitize_null_text_characters",
        "boolean",
        "Replace NUL characters",
        "Replace the character U+0000 in text by U+FFFD without a warning; PostgreSQL cannot store it, so there it is "
        "always replaced, and by default reported.",
        default=False,
    ),
    Setting(
        "interpret_content_encoding",
        "boolean",
        "Interpret content encoding",
        "Store strings whose schema says `contentEncoding: base16` as bytes.",
        default=False,
    ),
    Setting("host", "string", "Host", f"PostgreSQL's host. {_WITHOUT_URL}"),
    Setting("port", "integer", "Port", f"PostgreSQL's port. {_WITHOUT_URL}", default=5432),
    Setting("user", "string", "User", f"PostgreSQL's user. {_WITHOUT_URL}"),
    Setting("password", "string", "Password", f"That user's password. {_WITHOUT_URL}", secret=True),
    Setting("database", "string", "Database", f"PostgreSQL's database. {_WITHOUT_URL}"),
    Setting(
        "sqlalchemy_url",
        "string",
        "SQLAlchemy URL",
        "A SQLAlchemy URL of a PostgreSQL; overrides host, port, user, password, database and ssl settings.",
        secret=True,
    ),
    Setting(
        "dialect+driver",
        "string",
        "Dialect and driver",
        "Deprecated in target-postgres; leave it alone.",
        default="postgresql+psycopg",
    ),
    Setting(
        "use_copy",
        "boolean",
        "Use COPY",
        "Accepted for target-postgres' sake and without effect: rows always travel by binary COPY.",
        default=False,
    ),
    Setting("ssl_enable", "boolean", "Use TLS", f"Verify the server by TLS. {_WITHOUT_URL}", default=False),
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
        f"The authority's certificate: the text itself or a file's path. {_WITHOUT_URL}",
        default="~/.postgresql/root.crl",
    ),
    Setting(
        "ssl_client_certificate",
        "string",
        "Client certificate",
        f"The certificate itself or a file's path. {_WITHOUT_URL}",
        default="~/.postgresql/postgresql.crt",
    ),
    Setting(
        "ssl_client_private_key",
        "string",
        "Client key",
        f"The private key of that certificate: the text itself or a file's path. {_WITHOUT_URL}",
        default="~/.postgresql/postgresql.key",
        secret=True,
    ),
    Setting(
        "ssl_storage_directory",
        "string",
        "Certificate folder",
        "Where certificates given as text are written, because the driver reads files only.",
        default=".secrets",
    ),
    Setting("ssh_tunnel.enable", "boolean", "Use an SSH tunnel", "Connect through a bastion.", default=False),
    Setting("ssh_tunnel.host", "string", "SSH host", "The bastion's host."),
    Setting("ssh_tunnel.port", "integer", "SSH port", "The bastion's port.", default=22),
    Setting("ssh_tunnel.username", "string", "SSH user", "The user on the bastion."),
    Setting("ssh_tunnel.private_key", "string", "SSH key", "The private key, as text.", secret=True),
    Setting(
        "ssh_tunnel.private_key_password", "string", "SSH key password", "The key's password, if any.", secret=True
    ),
)


def config_json_schema() -> dict[str, Any]:
    """The JSON schema of the whole configuration, `SETTINGS` with the nested ones in their objects."""
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
    """The configuration, checked. `duckdb_path` or `postgres` is set, never both."""

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
        """Read a configuration of the shape of `config_json_schema`.

        Raises:
            SettingsError: a setting is malformed, missing, or contradicts another one.
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
        msg = "The setting views_schema needs default_target_schema: views are made of the tables of that one schema."
        raise SettingsError(msg)
    if views and views.casefold() == tables.casefold():
        msg = "The settings views_schema and default_target_schema must differ: a view has the name of its table."
        raise SettingsError(msg)


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float, decimal.Decimal),  # the SDK reads a file's fractions as Decimal
    "boolean": (bool,),
}


def check_types(config: Mapping[str, Any]) -> None:
    """Check that every setting given is of its type; null is the same as not given.

    The SDK checks this too, but prints the value, which may be a password.

    Raises:
        SettingsError: names the setting and the type it needs, never the value.
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
    """The settings that `TARGET_WAREHOUSE_…` variables give; a nested one's dot is an underscore.

    Raises:
        SettingsError: a variable's text is not of the setting's type.
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
