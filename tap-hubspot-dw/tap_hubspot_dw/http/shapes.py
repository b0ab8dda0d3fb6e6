"""The parts of HubSpot's replies that the tap relies on; a reply of another shape is rejected.

Source: HubSpot's specifications of 2026-09. Fields not named here may be missing or hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, NotRequired, TypedDict, get_type_hints

import msgspec

from tap_hubspot_dw.errors import MisshapenReplyError
from tap_hubspot_dw.http.replies import Reply, decode
from tap_hubspot_dw.timestamps import parse_timestamp

Decode = Callable[[bytes], Reply]

#: Objects' ids have some twelve digits (observed). Longer ones than this would not fit into the tap's lists of ids.
_MOST_DIGITS = 18
_Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]+\Z")] | Annotated[int, msgspec.Meta(ge=0)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Next(TypedDict):
    after: _Text | int


class _Paging(TypedDict, total=False):
    next: _Next | None


class _Envelope(TypedDict):
    """A reply with results of any shape."""

    results: Any
    paging: NotRequired[_Paging | None]
    total: NotRequired[Annotated[int, msgspec.Meta(ge=0)]]
    errors: NotRequired[Any]


AROUND: dict[str, Any] = {
    name: shape for name, shape in get_type_hints(_Envelope, include_extras=True).items() if name != "results"
}


class _Rows(_Envelope):
    results: list[dict[str, Any]]


class _Counted(TypedDict):
    """The reply to a search that is made only for its count."""

    total: Annotated[int, msgspec.Meta(ge=0)]


class _Object(TypedDict):
    id: _Id
    properties: dict[str, Any]
    url: NotRequired[str | None]
    archived: NotRequired[bool | None]
    createdAt: NotRequired[Any]
    updatedAt: NotRequired[Any]
    archivedAt: NotRequired[Any]


class _Objects(_Envelope):
    results: list[_Object]


class _AssociationType(TypedDict):
    category: _Text
    typeId: int
    label: NotRequired[str | None]


class _Edge(TypedDict):
    toObjectId: _Id
    associationTypes: list[_AssociationType]


class _From(TypedDict):
    id: _Id


_Associated: Any = TypedDict(
    "_Associated", {"from": _From, "to": list[_Edge], "paging": NotRequired[_Paging | None]}
)  # `from` is a Python keyword


class _Associations(_Envelope):
    results: list[_Associated]


class _WithId(TypedDict):
    id: _Text


class _Pipeline(TypedDict):
    id: _Text
    stages: list[_WithId]


class _Schema(TypedDict):
    objectTypeId: _Text
    name: _Text
    labels: NotRequired[dict[str, Any] | None]


def _of(shape: Any) -> Decode:
    """Return a decoder for replies of this shape; fields that the shape does not name are dropped."""
    decoder = msgspec.json.Decoder(shape)

    def decoded(content: bytes) -> Reply:
        try:
            reply: Reply = decoder.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            reply = _checked(decode(content), shape)
        return reply

    return decoded


def _rows_of(row: Any) -> Decode:
    """Return a decoder for replies whose results have at least the fields of `row`; other fields are kept."""
    decoder = _of(_Rows)

    def decoded(content: bytes) -> Reply:
        reply = decoder(content)
        _checked(reply["results"], list[row])
        for result in reply["results"]:
            stages = result.get("stages")
            _check_timestamps(result, ("createdAt", "updatedAt"))
            for stage in stages if isinstance(stages, list) else ():
                _check_timestamps(stage, ("createdAt", "updatedAt"))
        return reply

    return decoded


def _checked(value: Any, shape: Any) -> Any:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise MisshapenReplyError(f"HubSpot sent a reply of an unknown shape ({error}): run again later.") from error


rows = _rows_of(dict[str, Any])
counted = _of(_Counted)
associations = _of(_Associations)
envelope = _of(_Envelope)
owners = _rows_of(_WithId)
DESCRIPTIONS: Mapping[str, Decode] = {
    "schemas": _rows_of(_Schema),
    "properties": rows,  # `Descriptions.properties` skips those without a usable name
    "pipelines": _rows_of(_Pipeline),
}


def cursor(reply: Mapping[str, Any]) -> str | None:
    """Return the cursor of the next page; None on the last page."""
    following = (reply.get("paging") or {}).get("next")
    return str(following["after"]) if following else None


class CycleDetector:
    """Detects that a sequence of cursors repeats, for cycles of any length and in constant memory.

    Each cursor is compared with one kept cursor, which is replaced at distances that double (Brent's algorithm).
    """

    def __init__(self) -> None:
        self._kept: object = None
        self._count = 0
        self._next = 1

    def repeats(self, cursor: object) -> bool:
        """Take the next cursor; return whether it closes a cycle."""
        if cursor == self._kept:
            return True
        self._count += 1
        if self._count == self._next:
            self._kept, self._next = cursor, 2 * self._next
        return False


def objects(content: bytes) -> Reply:
    """Return a reply with objects, whose `properties` may have values other than text.

    Raises:
        UnreadableReplyError: it is not such a reply.
    """
    reply: Reply = _checked(decode(content), _Objects)
    for result in reply["results"]:
        result["id"] = str(result["id"])
    return reply


def check_objects(objects: Iterable[tuple[str, Any]]) -> None:
    """Check what decoding into texts does not, of objects with their `archivedAt`: the id must be a number.

    Raises:
        MisshapenReplyError: an id is not a number of at most 18 digits, or an `archivedAt` is not a timestamp.
    """
    for id_, archived_at in objects:
        if not (id_.isascii() and id_.isdigit() and len(id_) <= _MOST_DIGITS):
            msg = f"HubSpot sent a record whose id is not a number of at most {_MOST_DIGITS} digits: run again later."
            raise MisshapenReplyError(msg)
        if archived_at is not None:
            _check_timestamp("archivedAt", archived_at)


def _check_timestamps(row: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if row.get(name) is not None:
            _check_timestamp(name, row[name])


def _check_timestamp(name: str, value: Any) -> None:
    try:
        parse_timestamp(value)
    except (ValueError, TypeError) as error:
        raise MisshapenReplyError(f"HubSpot sent a {name} that is not a timestamp: run again later.") from error
