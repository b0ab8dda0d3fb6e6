"""What PostgreSQL's refusals mean: the sentence for the user, and whether a record is to blame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.errors import LoadError, RefusedDataError

if TYPE_CHECKING:
    import adbc_driver_manager

#: Classes of SQLSTATE whose messages speak of the server, not of values.
_SPEAKABLE = ("08", "0A", "28", "2B", "3D", "3F", "40", "42", "53", "55", "57", "58", "XX")
#: Data exceptions, broken constraints, and rows or keys larger than PostgreSQL takes: some record is to blame.
_ABOUT_DATA = ("22", "23", "54")


def refusal(what: str, sqlstate: str | None, message: str) -> LoadError:
    """The error for a refused statement; messages that may quote values are not passed on."""
    code = sqlstate or "unknown"
    reason = f"PostgreSQL refuses a value of it (SQLSTATE {code})"
    if "row is too big" in message:  # its numbers are the row's size and the limit
        reason = (
            "its row is longer than the 8,160 bytes that PostgreSQL takes, each text at no more than 18: deselect "
            "properties in the tap, or let it put them into one JSON column"
        )
    if code.startswith(_ABOUT_DATA):
        message = "a value does not fit its column or breaks a constraint"
    elif sqlstate == "0A000" and "view" in message:
        message += "; drop the view, run again, and create it again"
    elif sqlstate == "2BP01":  # a view that is built on one of ours, which a column's new type needs dropped
        message += "; drop what was built on it, run again, and create it again"
    elif sqlstate == "55P03":
        message = (
            "another session holds a lock on the table, and did for lock_timeout_seconds: pg_stat_activity shows "
            "which; end its transaction and run again"
        )
    elif sqlstate and not sqlstate.startswith(_SPEAKABLE):
        message = "an error of the server"
    sentence = f"{what}: {message.rstrip('.')} (SQLSTATE {code}). Nothing of this batch was kept."
    if code.startswith(_ABOUT_DATA):
        return RefusedDataError(sentence, reason)
    return LoadError(sentence)


def primary_message(error: adbc_driver_manager.Error) -> str:
    """The server's first line of an ADBC error."""
    line = first_line(error)
    return line.partition("ERROR:")[2].strip() or line


def first_line(error: BaseException | None) -> str:
    """The first line of an error's text, or its class."""
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__
