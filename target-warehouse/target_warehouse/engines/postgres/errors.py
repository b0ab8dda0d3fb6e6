"""What PostgreSQL's refusals mean: the sentence for the user, and whether a record is to blame.

A refusal is known by its SQLSTATE, never by its text, which is in the language that the server's `lc_messages` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import adbc_driver_manager
import psycopg

from target_warehouse.errors import LoadError, RefusedDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Classes of SQLSTATE whose messages speak of the server, not of values.
_SPEAKABLE = ("08", "0A", "25", "26", "28", "2B", "3D", "3F", "40", "42", "53", "55", "57", "58", "XX")
#: Data exceptions, broken constraints, and rows or keys larger than PostgreSQL takes: some record is to blame.
_ABOUT_DATA = ("22", "23", "54")
TOO_LARGE, UNTRANSLATABLE = "54000", "22P05"
#: Instead of the server's own words.
_MEANINGS: Mapping[str, str] = {
    "55P03": (
        "another session holds a lock on the table, and did for lock_timeout_seconds: pg_stat_activity shows which; "
        "end its transaction and run again"
    ),
}
#: What to do, after the server's own words; those of a class by its first two letters.
_ADVICE: Mapping[str, str] = {
    "0A000": "if a view or rule is in the way, drop the view, run again, and create it again",
    "2BP01": "drop what was built on it, run again, and create it again",
    "25006": (
        "the server takes no writes: name the primary server in the setting warehouse, not a replica, or let the role "
        "write with ALTER ROLE … SET default_transaction_read_only = off"
    ),
    "25P03": "raise idle_in_transaction_session_timeout for the role, and run again",
    "26000": "a connection pool gives statements to changing sessions; name the server itself in the setting warehouse",
    "40": "another session was in the way; run again",
    "42501": "the README of target-warehouse has the grants that the role needs",
    "53100": "make room on the server's disk and run again",
    "53200": "give the server more memory, or lower batch_size_rows, and run again",
    "53300": "end other connections or raise max_connections, and run again",
    "55000": (
        "if a publication is in the way, run ALTER TABLE … REPLICA IDENTITY FULL for the table, or take the table out "
        "of the publication"
    ),
    "57014": (
        "statement_timeout ran out, or somebody cancelled the statement: raise it with ALTER ROLE … SET "
        "statement_timeout, or lower batch_size_rows, and run again"
    ),
    "57P": "run again when the server is up",
    "57P05": "raise idle_session_timeout for the role, and run again",
}
#: Whose DETAIL names what is in the way, and never a value.
_WITH_DETAIL = ("0A000", "2BP01", "55000", "55006")


class Answer(NamedTuple):
    """What the server said: texts in its own language, of one line, without the full stop."""

    sqlstate: str | None
    message: str
    detail: str = ""


def answer_of(error: BaseException | None) -> Answer:
    """What the server said in an error of psycopg or ADBC; of one without an answer, what the driver said."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return Answer(error.sqlstate, _line(error.diag.message_primary), _line(error.diag.message_detail or ""))
    if isinstance(error, adbc_driver_manager.Error):
        fields = {_text(name): _text(value) for name, value in error.details or ()}
        message = fields.get("PG_DIAG_MESSAGE_PRIMARY") or first_line(error)
        return Answer(error.sqlstate, _line(message), _line(fields.get("PG_DIAG_MESSAGE_DETAIL", "")))
    return Answer(getattr(error, "sqlstate", None), first_line(error))


def refusal(what: str, error: BaseException | None) -> LoadError:
    """The error for a refused statement; messages that may quote values are not passed on."""
    sqlstate, message, detail = answer_of(error)
    code = sqlstate or "unknown"
    if code.startswith(_ABOUT_DATA):
        sentence = f"{what}: a value does not fit its column or breaks a constraint (SQLSTATE {code})"
        return RefusedDataError(f"{sentence}. Nothing of this batch was kept.", _reason(code))
    if code in _MEANINGS:
        message = _MEANINGS[code]
    elif sqlstate and not sqlstate.startswith(_SPEAKABLE):
        message = "an error of the server"
    sentence = "; ".join(filter(None, [f"{what}: {message}", advice_on(sqlstate)]))
    told = f"{detail}; SQLSTATE {code}" if detail and code in _WITH_DETAIL else f"SQLSTATE {code}"
    return LoadError(f"{sentence} ({told}). Nothing of this batch was kept.")


def advice_on(sqlstate: str | None) -> str:
    """What a user may do about a refusal; may be empty."""
    code = sqlstate or ""
    return next((_ADVICE[part] for part in (code, code[:3], code[:2]) if part in _ADVICE), "")


def _reason(code: str) -> str:
    if code == TOO_LARGE:
        return (
            "its row is longer than the 8,160 bytes that PostgreSQL takes, each text at no more than 18, or its key "
            "than an index takes: deselect properties in the tap, or let it put them into one JSON column"
        )
    if code == UNTRANSLATABLE:
        return f"it has a character that the encoding of the database does not have (SQLSTATE {code})"
    return f"PostgreSQL refuses a value of it (SQLSTATE {code})"


def first_line(error: BaseException | None) -> str:
    """The first line of an error's text, or its class."""
    return _line(str(error)) or type(error).__name__


def _line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else ""


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
