"""Every setting, once: name, type, default, title and description.

The JSON schema that `--about` prints and the SDK validates is made from `SETTINGS`. The settings of
meltanolabs-target-postgres keep their names, defaults and meaning, so that its configuration works unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from target_warehouse.destination import DEFAULT_WAREHOUSE, SSL_MODES


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
