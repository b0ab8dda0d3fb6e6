"""Which characters and names a database accepts whose encoding is not UTF8.

The server converts every text and refuses characters that its encoding lacks. The server itself is asked, once per
character, because conversion tables differ from one program to the next.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy

from target_warehouse.engines.postgres.errors import UNTRANSLATABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A database without an encoding stores the UTF-8 bytes that it receives.
NO_ENCODING = "SQL_ASCII"
#: Encodings that accept every character.
_FULL = ("UTF8", NO_ENCODING)
_BYTES = sqlalchemy.text("SELECT octet_length(CAST(:name AS text))")
#: PostgreSQL's own columns of every table; `oid` up to version 11.
_SYSTEM_COLUMNS = ("tableoid", "cmax", "xmax", "cmin", "xmin", "ctid")
_LAST_VERSION_WITH_OID = 11


class Encoding:
    """The characters and names that a database accepts."""

    def __init__(self, connection: sqlalchemy.Connection, most_name_bytes: int) -> None:
        settings = "SELECT pg_catalog.current_setting('server_encoding'), current_setting('server_version_num')"
        self.name, version = connection.exec_driver_sql(settings).one()
        self.is_full = self.name in _FULL
        self._most_name_bytes = most_name_bytes
        has_oid = int(version) // 10_000 <= _LAST_VERSION_WITH_OID
        #: Names that no column can have.
        self.system_columns = frozenset([*_SYSTEM_COLUMNS, "oid"] if has_oid else _SYSTEM_COLUMNS)
        self._stored: set[str] = set()
        self._lacking: set[str] = set()

    def lacking(self, connection: sqlalchemy.Connection, texts: Iterable[str]) -> frozenset[str]:
        """The characters of these texts that the database cannot store."""
        if self.is_full:
            return frozenset()
        characters = {character for text in texts if not text.isascii() for character in text if _is_asked(character)}
        self._ask(connection, sorted(characters - self._stored - self._lacking))
        return frozenset(characters & self._lacking)

    def escaped(self, text: str) -> str:
        """The text with JSON escapes for characters that the database is not known to store."""
        if self.is_full or text.isascii():
            return text
        stored = self._stored
        return "".join(char if char.isascii() or char in stored else json.dumps(char)[1:-1] for char in text)

    def unusable_names(self, connection: sqlalchemy.Connection, names: Iterable[str]) -> frozenset[str]:
        """The names with characters that the encoding lacks, or that are too long in it."""
        if self.is_full:
            return frozenset()
        foreign = {name for name in names if not name.isascii()}
        lacking = self.lacking(connection, foreign)
        return frozenset(name for name in foreign if lacking.intersection(name) or self._is_too_long(connection, name))

    def _is_too_long(self, connection: sqlalchemy.Connection, name: str) -> bool:
        if any(not _is_asked(character) and not character.isascii() for character in name) or "\0" in name:
            return False  # such a name is refused for another reason
        size = connection.execute(_BYTES, {"name": name}).scalar_one()
        return max(int(size), len(name.encode())) > self._most_name_bytes

    def _ask(self, connection: sqlalchemy.Connection, characters: list[str]) -> None:
        """Find out which characters the database stores: all at once, or else by bisection."""
        if not characters:
            return
        try:
            with connection.begin_nested():
                connection.execute(_BYTES, {"name": "".join(characters)})
            self._stored.update(characters)
        except sqlalchemy.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != UNTRANSLATABLE:
                raise
            if len(characters) == 1:
                self._lacking.update(characters)
                return
            middle = len(characters) // 2
            self._ask(connection, characters[:middle])
            self._ask(connection, characters[middle:])


def _is_asked(character: str) -> bool:
    """Whether this is a character beyond ASCII, and not half a surrogate pair."""
    return character > "\x7f" and not "\ud800" <= character <= "\udfff"
