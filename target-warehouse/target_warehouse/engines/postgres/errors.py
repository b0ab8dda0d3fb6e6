"""PostgreSQL's errors: the sentence for the user, and whether a record is to blame.

An error is recognised by its SQLSTATE, never by its text, which is in the language of the server's `lc_messages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import adbc_driver_manager
import psycopg

from target_warehouse.errors import LoadError, RefusedDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Classes of SQLSTATE whose messages are about the server, and so quote no values.
_WITHOUT_VALUES = ("08", "0A", "25", "26", "28", "2B", "3D", "3F", "40", "42", "53", "55", "57", "58", "XX")
#: RAISE EXCEPTION in a trigger, without an SQLSTATE of its own.
RAISED = "P0001"
#: Data exceptions, broken constraints, rows or keys that are too large, refusals by triggers: a record is to blame.
_ABOUT_DATA = ("22", "23", "54", RAISED)
TOO_LARGE, UNTRANSLATABLE = "54000", "22P05"
_MAY_NOT = "42501"
#: Messages that replace the server's own.
_MEANINGS: Mapping[str, str] = {
    "55P03": (
        "another session held a lock on the table for lock_timeout_seconds: find it in pg_stat_activity, end its "
        "transaction and run again"
    ),
}
#: Advice that follows the server's own message, by SQLSTATE or its first two or three characters.
_ADVICE: Mapping[str, str] = {
    "0A000": "if a view or rule is in the way, drop the view, run again, and create it again",
    "2BP01": "drop the dependent objects, run again, and create them again",
    "25006": (
        "the server accepts no writes: set the URL of the primary server, not of a replica, in the setting warehouse, "
        "or let the role write with ALTER ROLE … SET default_transaction_read_only = off"
    ),
    "25P03": "raise idle_in_transaction_session_timeout for the role, and run again",
    "26000": "a connection pool switches sessions between statements; set the server's URL in the setting warehouse",
    "40": "another session interfered; run again",
    _MAY_NOT: "the README of target-warehouse lists the grants that the role needs",
    "53100": "make room on the server's disk and run again",
    "53200": "give the server more memory, or lower batch_size_rows, and run again",
    "53300": "end other connections or raise max_connections, and run again",
    "55000": (
        "if a publication is in the way, run ALTER TABLE … REPLICA IDENTITY FULL for the table, or remove the table "
        "from the publication"
    ),
    "57014": (
        "statement_timeout ran out, or somebody cancelled the statement: raise it with ALTER ROLE … SET "
        "statement_timeout, or lower batch_size_rows, and run again"
    ),
    "57P": "run again when the server is up",
    "57P05": "raise idle_session_timeout for the role, and run again",
}
#: SQLSTATEs whose DETAIL names the object that is in the way, and never a value.
_WITH_DETAIL = ("0A000", "2BP01", "55000", "55006")


class Answer(NamedTuple):
    """The server's error: texts of one line, in the server's language, without the full stop."""

    sqlstate: str | None
    message: str
    detail: str = ""


def answer_of(error: BaseException | None) -> Answer:
    """The server's error in an exception of psycopg or ADBC; the driver's own message if the server sent none."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return Answer(error.sqlstate, _line(error.diag.message_primary), _line(error.diag.message_detail or ""))
    if isinstance(error, adbc_driver_manager.Error):
        fields = {_text(name): _text(value) for name, value in error.details or ()}
        message = fields.get("PG_DIAG_MESSAGE_PRIMARY") or first_line(error)
        return Answer(error.sqlstate, _line(message), _line(fields.get("PG_DIAG_MESSAGE_DETAIL", "")))
    return Answer(getattr(error, "sqlstate", None), first_line(error))


def refusal(what: str, error: BaseException | None) -> LoadError:
    """The error to raise for a refused statement; messages that may quote values are not passed on."""
    sqlstate, message, detail = answer_of(error)
    code = sqlstate or "unknown"
    if code.startswith(_ABOUT_DATA):
        why = "a trigger refuses it" if code == RAISED else "a value does not fit its column or breaks a constraint"
        sentence = f"{what}: {why} (SQLSTATE {code})"
        return RefusedDataError(f"{sentence}. Nothing of this batch was kept.", _reason(code))
    if code in _MEANINGS:
        message = _MEANINGS[code]
    elif sqlstate and not sqlstate.startswith(_WITHOUT_VALUES):
        message = "an error of the server"
    sentence = "; ".join(filter(None, [f"{what}: {message}", advice_on(sqlstate)]))
    source = f"{detail}; SQLSTATE {code}" if detail and code in _WITH_DETAIL else f"SQLSTATE {code}"
    return LoadError(f"{sentence} ({source}). Nothing of this batch was kept.")


def is_about_a_value(error: BaseException) -> bool:
    """Whether a cast failed because of the value; a cast to a name of an object fails if there is no such object.

    Types of extensions report their values in all classes (hstore as an internal error, observed with 15).
    """
    code = answer_of(error).sqlstate or ""
    return code.startswith((*_ABOUT_DATA, "42", "XX")) and code != _MAY_NOT


def advice_on(sqlstate: str | None) -> str:
    """What the user can do about an error; may be empty."""
    code = sqlstate or ""
    return next((_ADVICE[key] for key in (code, code[:3], code[:2]) if key in _ADVICE), "")


def _reason(code: str) -> str:
    if code == TOO_LARGE:
        return (
            "its row is longer than PostgreSQL's limit of 8,160 bytes, in which a text counts 18 bytes at most, or its "
            "key is too long for an index: deselect properties in the tap, or let it put them into one JSON column"
        )
    if code == RAISED:
        return f"a trigger of its table refuses it (SQLSTATE {code})"
    if code == UNTRANSLATABLE:
        return f"it has a character that the encoding of the database does not have (SQLSTATE {code})"
    return f"PostgreSQL refuses one of its values (SQLSTATE {code})"


def first_line(error: BaseException | None) -> str:
    """The first line of an error's text, or the name of its class."""
    return _line(str(error)) or type(error).__name__


def _line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else ""


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
