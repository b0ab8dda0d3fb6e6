"""The errors of users on the command line: one sentence and an exit code, without a traceback."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError

from tap_hubspot_dw.errors import HubSpotError
from tap_hubspot_dw.run.failed_starts import leave
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.timestamps import now


class StreamsFailedError(HubSpotError):
    """The run has ended, and some streams could not be read."""


@contextmanager
def user_errors(logger: logging.Logger, *, is_run: bool = True) -> Iterator[None]:
    """Log an error of the tap or in its stream maps as one sentence and exit; note a failure that no history has."""
    began_at = now()
    try:
        yield
    except HubSpotError as error:
        logger.error("%s", error)
        if is_run and not error.is_in_history and not isinstance(error, StreamsFailedError):
            _note(logger, str(error), began_at)
        sys.exit(error.exit_code)
    except (MapExpressionError, StreamMapConfigError) as error:
        sentence = shown(str(error))
        logger.error("%s", sentence)
        if is_run:
            _note(logger, sentence, began_at)
        sys.exit(1)
    except ConfigValidationError:
        if is_run:
            _note(logger, "The configuration is not valid: the log of that run says which settings.", began_at)
        raise


def _note(logger: logging.Logger, sentence: str, began_at: datetime) -> None:
    try:
        leave(os.environ, sentence, began_at)
    except OSError as error:
        logger.warning("No note of this failure could be left for the next run: %s.", error.strerror)
