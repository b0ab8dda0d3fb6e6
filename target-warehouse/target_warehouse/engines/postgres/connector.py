"""The connection to PostgreSQL, made by target-postgres' connector.

It also accepts the setting `warehouse`. Differences from target-postgres 0.8.1: the folder for certificates given as
text is created, readable by its owner only; a path may begin with `~`; a certificate authority that `ssl_mode` does
not use need not exist; `private_key_password` opens the key. No message of this module repeats a setting's value.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
import psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from target_postgres.connector import PostgresConnector

from target_warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARAMETERS = frozenset(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults())
_KEYS = (paramiko.RSAKey, paramiko.ECDSAKey, paramiko.Ed25519Key)


class WarehouseConnector(PostgresConnector):  # type: ignore[misc]  # it has no type marker
    """target-postgres' connector, which also takes the setting `warehouse` as its URL.

    Raises:
        SettingsError: a setting cannot be used.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._key_password: str | None = config["ssh_tunnel"]["private_key_password"]
        super().__init__(config)

    def get_sqlalchemy_url(self, config: Mapping[str, Any]) -> str:
        """The URL of `warehouse`, with the ssl settings applied, or target-postgres' own."""
        if config["warehouse"]:
            url = _url(config["warehouse"], "warehouse").update_query_dict(self.get_sqlalchemy_query(config))
        elif config["sqlalchemy_url"]:
            url = _url(config["sqlalchemy_url"], "sqlalchemy_url")
        else:
            url = make_url(super().get_sqlalchemy_url(config))
        url = url.set(drivername="postgresql+psycopg", query=_parameters(url))
        return str(url.render_as_string(hide_password=False))

    def get_sqlalchemy_query(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The ssl settings as libpq's parameters."""
        query = {}
        folder = config["ssl_storage_directory"]
        if config["ssl_enable"]:
            query["sslmode"] = mode = config["ssl_mode"]
            authority = config["ssl_certificate_authority"]
            if mode.startswith("verify") or _is_text(authority) or Path(authority).expanduser().is_file():
                query["sslrootcert"] = _file("ssl_certificate_authority", authority, f"{folder}/root.crt")
        if config["ssl_client_certificate_enable"]:
            certificate, key = config["ssl_client_certificate"], config["ssl_client_private_key"]
            query["sslcert"] = _file("ssl_client_certificate", certificate, f"{folder}/cert.crt")
            query["sslkey"] = _file("ssl_client_private_key", key, f"{folder}/pkey.key")
        return query

    def guess_key_type(self, key_data: str) -> paramiko.PKey:
        """The tunnel's private key."""
        for key_class in _KEYS:
            for password in {self._key_password, None}:
                try:
                    return key_class.from_private_key(io.StringIO(key_data), password)
                except (paramiko.SSHException, ValueError, TypeError, IndexError):
                    continue
        msg = (
            "The setting ssh_tunnel.private_key is not an RSA, ECDSA or Ed25519 key that "
            "ssh_tunnel.private_key_password opens: set it to the key file's whole text, and set the password if the "
            "key has one."
        )
        raise SettingsError(msg)


def _url(text: str, setting: str) -> URL:
    """The URL of a setting; refused if its password breaks it apart, because errors quote host and database."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres") or "@" in f"{url.host}{url.database}":
        msg = (
            f"The setting {setting} is not a URL such as postgresql://user:password@host:5432/database: percent-encode "
            "each of the characters @ : / ? # % in user and password, for example @ as %40."
        )
        raise SettingsError(msg) from None
    return url


def _parameters(url: URL) -> dict[str, Any]:
    """The URL's parameters for libpq; text is in UTF-8, whatever URL, role, database and environment say.

    Raises:
        SettingsError: libpq has no such parameter.
    """
    query = {name: value for name, value in url.query.items() if name != "prepare_threshold"}  # nothing is prepared
    unknown = sorted(name for name in query if name not in _PARAMETERS)
    if unknown:
        named = ", ".join(name for name in unknown if name.isidentifier()) or "one whose name is not a word"
        msg = f"The URL of PostgreSQL has parameters that its client library does not know: {named}. Remove them."
        raise SettingsError(msg)
    return {**query, "client_encoding": "UTF8"}


def _is_text(value: str) -> bool:
    return value.lstrip().startswith("-----BEGIN")


def _file(setting: str, value: str, otherwise: str) -> str:
    """The path of a certificate or key: the setting's own, or a file that only its owner can read."""
    if not _is_text(value):
        path = Path(value).expanduser()
        if path.is_file():
            return str(path)
        msg = f"The setting {setting} is neither the path of a file that exists nor the text of a certificate or key."
        raise SettingsError(msg)
    file = Path(otherwise)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # the file of an earlier run may be readable by others
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(value)
    return str(file)
