"""The types of settings: the JSON schema of each, and how its value in a configuration becomes Python's.

A type that has something to check raises a `SettingsError` that names the setting and the values it may have.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlsplit

from singer_sdk import typing as th

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.object_types import TYPE_ID
from tap_hubspot_dw.timestamps import parse_timestamp

T = TypeVar("T")
Config = Mapping[str, Any]

REFERENCE_STREAMS = {"owners", "pipelines", "pipeline_stages", "properties"}
OWN_STREAMS = {*REFERENCE_STREAMS, "associations", "sync_history"}


@dataclass(frozen=True)
class SettingType(Generic[T]):
    """A type of settings. `read` gets the setting's name, its value and the whole configuration."""

    schema: Any
    read: Callable[[str, Any, Config], T]


def setting(of_type: SettingType[T], title: str, description: str, *, key: str | None = None, **options: Any) -> T:
    """Return the field of a setting, for a dataclass of settings.

    `key` is its name in the configuration, if that is not the field's; `options` are those of the SDK's `Property`.
    """
    options |= {"title": title, "description": description}
    return cast("T", field(metadata={"type": of_type, "key": key, "options": options}))


def _url(name: str, text: str, _: Config) -> str:
    if "@" in text:
        raise SettingsError(f"The setting {name} has a user or a password in it: HubSpot accepts only a token.")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SettingsError(f'The setting {name} is "{text}"; it must look like "https://api.hubapi.com".')
    return text.rstrip("/")


def _objects(name: str, names: list[str], _: Config) -> tuple[str, ...]:
    if taken := sorted(OWN_STREAMS.intersection(names)):
        raise SettingsError(
            f"The setting {name} has {', '.join(taken)}, which is the name of one of the tap's own streams: "
            "give the object another name with object_type_ids."
        )
    repeated = sorted({each for each in names if names.count(each) > 1})
    if not names or repeated:
        what = f"names {', '.join(repeated)} more than once" if repeated else "is empty"
        raise SettingsError(f'The setting {name} {what}; list each object once, as in ["contacts", "deals"].')
    return tuple(names)


def _type_ids(name: str, type_ids: dict[str, str], _: Config) -> Mapping[str, str]:
    for of, type_id in type_ids.items():
        if not TYPE_ID.fullmatch(type_id):
            raise SettingsError(
                f'The setting {name} gives "{type_id}" for "{of}", which is not an object type id such as "2-3821545".'
            )
    return type_ids


def _pairs(name: str, pairs: list[str] | None, config: Config) -> tuple[tuple[str, str], ...] | None:
    if pairs is None:
        return None
    parsed = []
    for pair in pairs:
        ends = tuple(pair.split(":"))
        if len(ends) != 2 or not set(ends) <= set(config["objects"]):
            raise SettingsError(
                f'The setting {name} has "{pair}"; a pair is two names of the setting objects, as in "contacts:deals".'
            )
        parsed.append((ends[0], ends[1]))
    return tuple(parsed)


def _patterns(name: str, patterns: dict[str, list[str]], config: Config) -> Mapping[str, Sequence[str]]:
    for of in patterns:
        if of != "*" and of not in config["objects"]:
            raise SettingsError(
                f'The setting {name} has patterns for "{of}", which is neither "*" nor one of the setting objects.'
            )
    return patterns


def _ids(name: str, ids: dict[str, list[str]] | None, config: Config) -> Mapping[str, Sequence[str]] | None:
    for of, texts in (ids or {}).items():
        if of in REFERENCE_STREAMS:
            if texts != ["*"]:
                raise SettingsError(f'The setting {name} has ids of "{of}"; write ["*"], which reads all of them.')
            continue
        if of not in config["objects"]:
            raise SettingsError(f'The setting {name} has ids of "{of}", which is not one of the setting objects.')
        if not all(text.isascii() and text.isdigit() for text in texts):
            raise SettingsError(f'The setting {name} has ids of "{of}" that are not numbers, as HubSpot\'s ids are.')
    return ids


def _ids_in_file(name: str, file: str | None, config: Config) -> Mapping[str, Sequence[int]]:
    if not file:
        return {}
    try:
        saved = json.loads(Path(file).read_text(encoding="utf-8"))
        ids: dict[str, Sequence[int]] = {of: array("Q", sorted(map(int, values))) for of, values in saved.items()}
    except OSError as error:
        raise SettingsError(f"The file {file} of the setting {name} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise SettingsError(f"The file {file} of the setting {name} is not an object of lists of ids.") from error
    if unknown := sorted(ids.keys() - set(config["objects"])):
        raise SettingsError(
            f"The file of the setting {name} has ids of {', '.join(unknown)}, which the setting objects lacks."
        )
    return ids


def _timestamp(name: str, text: str | None, _: Config) -> datetime | None:
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise SettingsError(
            f'The setting {name} is "{text}"; write a date such as "2026-01-31" or "2026-01-31T08:00:00Z".'
        ) from error


def _hours(_name: str, hours: float, _: Config) -> timedelta | None:
    return timedelta(hours=float(hours)) if hours > 0 else None  # the SDK reads fractions as Decimal


_TEXTS = th.ArrayType(th.StringType)
_TEXTS_BY_NAME = th.ObjectType(additional_properties=_TEXTS)

TEXT = SettingType[str](th.StringType, lambda _name, value, _config: value)
OPTIONAL_TEXT = SettingType[str | None](th.StringType, lambda _name, value, _config: value)
FLAG = SettingType[bool](th.BooleanType, lambda _name, value, _config: value)
COUNT = SettingType[int](th.IntegerType, lambda _name, value, _config: value)
OPTIONAL_COUNT = SettingType[int | None](th.IntegerType, lambda _name, value, _config: value)
NUMBER = SettingType[float](th.NumberType, lambda _name, value, _config: float(value))
PERCENT = SettingType[float](th.NumberType, lambda _name, value, _config: float(value) / 100)
MINUTES = SettingType[timedelta](th.IntegerType, lambda _name, value, _config: timedelta(minutes=value))
HOURS = SettingType[timedelta | None](th.NumberType, _hours)
TIMESTAMP = SettingType[datetime | None](th.DateTimeType, _timestamp)
URL = SettingType[str](th.StringType, _url)
OBJECTS = SettingType[tuple[str, ...]](_TEXTS, _objects)
TYPE_IDS = SettingType[Mapping[str, str]](th.ObjectType(additional_properties=th.StringType), _type_ids)
PATTERNS = SettingType[Mapping[str, Sequence[str]]](_TEXTS_BY_NAME, _patterns)
PAIRS = SettingType[tuple[tuple[str, str], ...] | None](_TEXTS, _pairs)
IDS = SettingType[Mapping[str, Sequence[str]] | None](_TEXTS_BY_NAME, _ids)
IDS_IN_FILE = SettingType[Mapping[str, Sequence[int]]](th.StringType, _ids_in_file)


def with_numbers(config: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings from environment variables with their numbers, which the SDK leaves as texts.

    A text that is not a finite number stays, and the check of the settings' types reports it.
    """
    return {
        name: _number(value) if isinstance(value, str) and "number" in properties[name]["type"] else value
        for name, value in config.items()
    }


def _number(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
