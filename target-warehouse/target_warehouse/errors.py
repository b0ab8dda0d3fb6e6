"""What can go wrong, in the user's words.

Every error that a user can meet is a `WarehouseError`: one sentence that says what, where and what to do, and
never a record's contents or a password. The commands print the sentence; the exit code is 1, of
`warehouse` 2.
"""

from __future__ import annotations

from target_warehouse.shown import shown

_LONGEST = 10_000


class WarehouseError(Exception):
    """An error whose message is one sentence for the user, in one line and without control characters of others."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message, _LONGEST))


class SettingsError(WarehouseError):
    """A setting is missing, malformed or contradicts another one: change the configuration."""


class ConnectionFailedError(WarehouseError):
    """The warehouse cannot be opened: it is away, locked, not writable, or refuses the login."""


class InputError(WarehouseError):
    """The input does not follow the Singer format: the tap, or what stands between, is at fault."""


class NestedTooDeepError(InputError):
    """A line has more lists and objects inside one another than can be read."""


class StreamsRefusedError(InputError):
    """The SCHEMAs of some streams cannot be understood; every other stream is loaded.

    Its cause, if any, is what else is wrong with the run.
    """


class LoadError(WarehouseError):
    """The database refused a batch. Its transaction was rolled back."""


class RefusedDataError(LoadError):
    """The database refused a batch for a value in it: without the record to blame the rest can be written."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason  # a few words, without the value


class RetryTransactionError(LoadError):
    """A transaction took for granted what is not so. Nothing of it was kept; done again, it takes the safe way."""


class RejectedRecordsError(WarehouseError):
    """Some records could not become rows; they are kept in a table of their own, and everything else is loaded."""


class ReportError(WarehouseError):
    """There is nothing to report on yet."""


class CompareError(WarehouseError):
    """Two schemas cannot be compared."""


class VerifyError(WarehouseError):
    """Whether the copy is true cannot be told: HubSpot cannot be read, or there is nothing to look at."""


class TerminatedError(BaseException):
    """SIGTERM or SIGINT arrived; not an `Exception`, so that nothing on the way up takes it for a failure."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


def user_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is a sentence for the user and holds nothing of a record: ours and some of the SDK's."""
    # Imported here: the SDK takes more than half a second, and the command `warehouse` does without it.
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
    """What to tell a user of any error, on one line; one that may hold something of a record is named by its class."""
    if isinstance(error, TerminatedError):
        return f"stopped by signal {error.exit_code - 128}"
    if isinstance(error, user_errors()):
        return " ".join(str(error).split())
    return type(error).__name__
