"""Script files: a JSON or YAML list of mutations or of faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_script(name: str, what: str, of: str) -> list[Any]:
    """Return the list in a file; ValueError with a sentence that calls the file `what` and its items `of`."""
    try:
        script = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The {what} {name} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"The {what} {name} is neither JSON nor YAML.") from error
    if not isinstance(script, list):
        raise ValueError(f"The {what} {name} must be a list of {of}.")
    return script
