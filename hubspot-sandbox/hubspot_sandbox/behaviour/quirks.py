"""Switches for what HubSpot's documents leave open, one row each; the default is our best reading of the facts.

A client that is right under every setting needs none of the guesses.
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
    """One switch: its default, what it takes (empty for a free text), what it means."""

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
        "a list `after` that was never handed out: works, or is 400",
    ),
    Quirk("batch-order", "asked", ("asked", "reversed", "id"), "the order of batch read results"),
    Quirk("association-page", "500", (), "edges an id in one association batch reply"),
    Quirk(
        "dead-id-in-association-batch",
        "207",
        ("207", "400"),
        "an id that is no live record: one error of a 207, or the whole call is 400",
    ),
    Quirk(
        "association-errors",
        "full",
        ("full", "no-subcategory", "own-category", "message-only"),
        "how an association batch reply names an id without any: category and subCategory, the category alone, "
        "NO_ASSOCIATIONS_FOUND as the category, or with the id in the message alone",
    ),
    Quirk("custom-pipelines", "none", ("none", "one"), "pipelines of custom objects"),
    Quirk("longest-url", "16200", (), "characters of a request's path and query, beyond which nginx answers 414"),
    Quirk("deal-to-appointment-type", "945", (), "the association type id of deal to appointment"),
    Quirk(
        "error-bodies",
        "validation",
        ("validation", "plain"),
        "400 for a limit too high or a search too far: a VALIDATION_ERROR, or a message without a category",
    ),
    Quirk("archived-unsupported", "", (), "type ids, comma separated, whose archived list answers 400"),
    Quirk("over-limit", "400", ("400", "clamp"), "a `limit` over the maximum: 400, or silently the maximum"),
    Quirk("restore-bumps", "true", ("true", "false"), "restoring a record sets its last-modified time"),
    Quirk(
        "short-search-pages",
        "0",
        (),
        "every n-th search page with a successor lacks its last row, over which `after` steps",
    ),
    Quirk("unlisted-properties", "", (), "property names, comma separated, that the lists of properties leave out"),
    Quirk(
        "empty-search-pages", "0", (), "every n-th search page with a successor is empty; `after` steps over its rows"
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
    """The switches as set; unknown names and values are refused with the choices."""

    settings: dict[str, str] = field(default_factory=dict)
    _search_pages: int = 0
    _handed_out: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            _checked(name, value)

    def __getitem__(self, name: str) -> str:
        return self.settings.get(name, _BY_NAME[name].default)

    def set(self, name: str, value: str) -> None:
        """Change a switch while running."""
        self.settings[name] = _checked(name, value)

    def numeric_to_object_id(self, version: str) -> bool:
        """Whether `toObjectId` is a JSON number under this API version."""
        setting = self["to-object-id"]
        return setting == "number" or (setting == "auto" and version in ("v3", "v4"))

    def write_cursor(self, next_id: int) -> str:
        """The `after` of a list page."""
        text = str(next_id)
        if self["list-cursor"] == "opaque":
            text = base64.urlsafe_b64encode(f"o:{next_id}".encode()).decode().rstrip("=")
        if self["arbitrary-after"] == "reject":
            self._handed_out.add(text)
        return text

    def read_cursor(self, text: str) -> int | None:
        """The lowest id of the page that `after` asks for, None when it is not acceptable."""
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
        """Whether a property is in the lists of properties."""
        return property_name not in self["unlisted-properties"].split(",")

    def batch_order(self, numbers: list[int]) -> list[int]:
        """Batch results in the order of the switch."""
        setting = self["batch-order"]
        return sorted(numbers) if setting == "id" else numbers[::-1] if setting == "reversed" else numbers

    def shown_type(self, from_type: str, to_type: str, type_id: int) -> int:
        """The association type id that replies carry; inside, deal to appointment is always the default's."""
        return int(self[_DEAL_TYPE]) if (from_type, to_type, type_id) == _GUESSED_TYPE else type_id

    def known_type(self, from_type: str, to_type: str, shown: int) -> int:
        """The opposite of `shown_type`."""
        guessed = _GUESSED_TYPE[2] if (from_type, to_type) == _GUESSED_TYPE[:2] else None
        return guessed if guessed is not None and shown == int(self[_DEAL_TYPE]) else shown

    def refusal(self, error: HubSpotError) -> HubSpotError:
        """A 400 about a limit or a search's reach in the shape of the switch."""
        if self["error-bodies"] == "validation":
            return error
        return HubSpotError(error.status, {key: error.body[key] for key in ("status", "message")})

    @property
    def longest_url(self) -> int:
        """The longest path and query that HubSpot's proxy takes."""
        return int(self["longest-url"])

    @property
    def association_page(self) -> int:
        """Edges an id in one association batch reply."""
        return int(self["association-page"])

    @property
    def dead_id_breaks_batch(self) -> bool:
        """Whether one dead id makes the whole association batch a 400."""
        return self["dead-id-in-association-batch"] == "400"

    def checked_limit(self, limit: int, maximum: int) -> int | None:
        """The limit to use; None when asking for so many is an error."""
        return limit if limit <= maximum else maximum if self["over-limit"] == "clamp" else None

    def short_search_page(self, page: list[int]) -> list[int]:
        """A search page that has a successor, sometimes short or empty although more follows (observed)."""
        self._search_pages += 1
        empty, short = int(self["empty-search-pages"]), int(self["short-search-pages"])
        if empty and self._search_pages % empty == 0:
            return []
        return page[:-1] if short and self._search_pages % short == 0 else page
