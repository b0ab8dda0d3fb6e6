"""The errors of the target and the command `warehouse`, with messages in the user's words.

Every error that a user can meet is a `WarehouseError`. Its message is one sentence that says what happened, where, and
what to do. It never contains record values or passwords. The commands print the sentence and exit with code 1;
`warehouse` exits with code 2.
"""

from __future__ import annotations

from target_warehouse.shown import shown

_LONGEST = 10_000


class WarehouseError(Exception):
    """An error whose message is one sentence for the user, on one line; control characters are escaped."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message, _LONGEST))


class SettingsError(WarehouseError):
    """A setting is missing, malformed, or contradicts another setting: change the configuration."""


class ConnectionFailedError(WarehouseError):
    """The warehouse cannot be opened: it is unreachable, locked, not writable, or refuses the login."""


class InputError(WarehouseError):
    """The input does not follow the Singer format: the tap, or a program between tap and target, is at fault."""


class NestedTooDeepError(InputError):
    """A line nests lists and objects deeper than the target can read."""


class StreamsRefusedError(InputError):
    """The SCHEMA messages of some streams cannot be understood; every other stream is loaded.

    The cause (`__cause__`), if any, is another error of the run.
    """


class LoadError(WarehouseError):
    """The database refused a batch; its transaction was rolled back."""


class RefusedDataError(LoadError):
    """The database refused a batch because of a value in it; without that record, the rest can be written.

    `reason` is a few words, without the value.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class RetryTransactionError(LoadError):
    """A transaction must be run again and was rolled back; a retry takes the safe path."""


class RejectedRecordsError(WarehouseError):
    """Some records could not be loaded; they are kept in a separate table, and everything else is loaded."""


class ReportError(WarehouseError):
    """There is no run to report on yet."""


class CompareError(WarehouseError):
    """Two schemas cannot be compared."""


class VerifyError(WarehouseError):
    """The copy cannot be checked: HubSpot cannot be read, or there are no rows to compare."""


class TerminatedError(BaseException):
    """SIGTERM or SIGINT arrived. It is not an `Exception`, so that no handler on the way up treats it as a failure."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


def user_errors() -> tuple[type[Exception], ...]:
    """The errors whose message is a sentence for the user without record values: ours and some of the SDK's."""
    # Imported here, because the SDK takes more than half a second and the command `warehouse` does not need it.
    from singer_sdk import exceptions

    return (
        WarehouseError,
        exceptions.RecordsWithoutSchemaException,
        exceptions.MissingKeyPropertiesError,
        exceptions.InvalidJSONSchema,
        exceptions.MapExpressionError,
        exceptions.StreamMapConfigError,
    )


def sentence_of(error: BaseException) -> str:
    """The message of an error for the user, on one line; only its class name if it may contain record values."""
    if isinstance(error, TerminatedError):
        return f"stopped by signal {error.exit_code - 128}"
    if isinstance(error, user_errors()):
        return " ".join(str(error).split())
    return type(error).__name__


class SchemaError(ValueError):
    """A schema cannot be understood; the message says what is wrong, and where."""
