"""Quirks: switches for what HubSpot's documents leave open, one row each. The defaults are the most likely answers.

A client that is right under every setting does not depend on a guess.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from hubspot_sandbox.errors import HubSpotError
from hubspot_sandbox.portal.object_types import ObjectType
from hubspot_sandbox.whole_number import whole_number


@dataclass(frozen=True)
class Quirk:
    """One switch: its default, its values (empty for free text), its meaning."""

    name: str
    default: str
    values: tuple[str, ...]
    meaning: str


QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        "to-object-id",
        "auto",
        ("auto", "number", "string"),
        "toObjectId of associations; auto is a number on v4 and a string on dated paths",
    ),
    Quirk("list-cursor", "id", ("id", "opaque"), "`after` of lists: the last id plus one, or an opaque text"),
    Quirk(
        "arbitrary-after",
        "allow",
        ("allow", "reject"),
        "a list `after` that no reply contained: accepted, or 400",
    ),
    Quirk("batch-order", "asked", ("asked", "reversed", "id"), "the order of batch read results"),
    Quirk("association-page", "500", (), "edges per id in one association batch reply"),
    Quirk(
        "dead-id-in-association-batch",
        "207",
        ("207", "400"),
        "an id without a live record: an error in a 207, or 400 for the whole call",
    ),
    Quirk(
        "association-errors",
        "full",
        ("full", "no-subcategory", "own-category", "message-only"),
        "how an association batch reply names an id without associations: with category and subCategory, only with "
        "the category, with NO_ASSOCIATIONS_FOUND as the category, or only with the id in the message",
    ),
    Quirk("custom-pipelines", "none", ("none", "one"), "pipelines of custom objects"),
    Quirk("longest-url", "16200", (), "the most characters of path and query; beyond it nginx answers 414"),
    Quirk("deal-to-appointment-type", "945", (), "the association type id from deal to appointment"),
    Quirk(
        "error-bodies",
        "validation",
        ("validation", "plain"),
        "the 400 for a limit or a search beyond the maximum: a VALIDATION_ERROR, or a message without a category",
    ),
    Quirk("archived-unsupported", "", (), "type ids, comma separated, whose archived records cannot be listed (400)"),
    Quirk("over-limit", "400", ("400", "clamp"), "a `limit` above the maximum: 400, or the maximum without an error"),
    Quirk("restore-bumps", "true", ("true", "false"), "whether a restored record gets a new modified time"),
    Quirk(
        "short-search-pages",
        "0",
        (),
        "every n-th search page that has a next page lacks its last row, and `after` skips that row",
    ),
    Quirk(
        "unlisted-properties", "", (), "property names, comma separated, that are missing from the lists of properties"
    ),
    Quirk(
        "empty-search-pages",
        "0",
        (),
        "every n-th search page that has a next page is empty, and `after` skips its rows",
    ),
)
_DEAL_TYPE = "deal-to-appointment-type"
_GUESSED_TYPE = ("0-3", "0-421", 945)
_BY_NAME = {quirk.name: quirk for quirk in QUIRKS}


def _checked(name: str, value: str) -> str:
    quirk = _BY_NAME.get(name)
    if quirk is None:
        raise ValueError(f"There is no quirk {name!r}; there are: {', '.join(_BY_NAME)}.")
    if quirk.values and value not in quirk.values:
        raise ValueError(f"Quirk {name} takes {' or '.join(quirk.values)}, not {value!r}.")
    if quirk.default.isdigit() and not quirk.values and whole_number(value) is None:
        raise ValueError(f"Quirk {name} takes a whole number, not {value!r}.")
    return value


@dataclass
class Quirks:
    """The settings of the switches; ValueError with the choices for an unknown name or value."""

    settings: dict[str, str] = field(default_factory=dict)
    _search_pages: int = 0
    _handed_out: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            _checked(name, value)

    def __getitem__(self, name: str) -> str:
        return self.settings.get(name, _BY_NAME[name].default)

    def set(self, name: str, value: str) -> None:
        """Change a switch while the sandbox runs."""
        self.settings[name] = _checked(name, value)

    def numeric_to_object_id(self, version: str) -> bool:
        """Whether `toObjectId` is a JSON number in this API version."""
        setting = self["to-object-id"]
        return setting == "number" or (setting == "auto" and version in ("v3", "v4"))

    def write_cursor(self, next_id: int) -> str:
        """Return the `after` for the list page that starts at this id."""
        text = str(next_id)
        if self["list-cursor"] == "opaque":
            text = base64.urlsafe_b64encode(f"o:{next_id}".encode()).decode().rstrip("=")
        if self["arbitrary-after"] == "reject":
            self._handed_out.add(text)
        return text

    def read_cursor(self, text: str) -> int | None:
        """Return the lowest id of the page that `after` asks for, None if it is not accepted."""
        if self["arbitrary-after"] == "reject" and text not in self._handed_out:
            return None
        if self["list-cursor"] == "id":
            return whole_number(text)
        try:
            return int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().removeprefix("o:"))
        except (binascii.Error, ValueError):
            return None

    def archived_listable(self, object_type: ObjectType) -> bool:
        """Whether the type's archived records can be listed."""
        return object_type.type_id not in self["archived-unsupported"].split(",")

    def lists(self, property_name: str) -> bool:
        """Whether the lists of properties contain this property."""
        return property_name not in self["unlisted-properties"].split(",")

    def batch_order(self, numbers: list[int]) -> list[int]:
        """Return batch results in the order that the quirk sets."""
        setting = self["batch-order"]
        return sorted(numbers) if setting == "id" else numbers[::-1] if setting == "reversed" else numbers

    def shown_type(self, from_type: str, to_type: str, type_id: int) -> int:
        """Return the association type id for replies; internally deal to appointment always has the default's id."""
        return int(self[_DEAL_TYPE]) if (from_type, to_type, type_id) == _GUESSED_TYPE else type_id

    def known_type(self, from_type: str, to_type: str, shown: int) -> int:
        """The opposite of `shown_type`."""
        guessed = _GUESSED_TYPE[2] if (from_type, to_type) == _GUESSED_TYPE[:2] else None
        return guessed if guessed is not None and shown == int(self[_DEAL_TYPE]) else shown

    def refusal(self, error: HubSpotError) -> HubSpotError:
        """Return a 400 for a limit or a search beyond the maximum in the form that the quirk sets."""
        if self["error-bodies"] == "validation":
            return error
        return HubSpotError(error.status, {key: error.body[key] for key in ("status", "message")})

    @property
    def longest_url(self) -> int:
        """The most characters of path and query that HubSpot's proxy accepts."""
        return int(self["longest-url"])

    @property
    def association_page(self) -> int:
        """Edges per id in one association batch reply."""
        return int(self["association-page"])

    @property
    def dead_id_breaks_batch(self) -> bool:
        """Whether one id without a live record makes the whole association batch a 400."""
        return self["dead-id-in-association-batch"] == "400"

    def checked_limit(self, limit: int, maximum: int) -> int | None:
        """Return the limit to use, None if this limit is an error."""
        return limit if limit <= maximum else maximum if self["over-limit"] == "clamp" else None

    def short_search_page(self, page: list[int]) -> list[int]:
        """Shorten or empty some of the search pages that have a next page (observed)."""
        self._search_pages += 1
        empty, short = int(self["empty-search-pages"]), int(self["short-search-pages"])
        if empty and self._search_pages % empty == 0:
            return []
        return page[:-1] if short and self._search_pages % short == 0 else page
