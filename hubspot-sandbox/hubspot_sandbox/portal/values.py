"""Values of records: a pure function of seed, object type, record and property.

Every property names a generator. Most generators draw a pool of 256 values from the seed, and one byte of a record's
digest picks from the pool. The generators in `COMPUTED` (ids, e-mail addresses, stages, appointment times …) compute
the value from the record. All values are texts or None, as in HubSpot's replies.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

from hubspot_sandbox.portal import words
from hubspot_sandbox.portal.definition import Definition
from hubspot_sandbox.portal.reference import OWNER_IDS, STAGE_CHOICES
from hubspot_sandbox.timestamps import DAY_MS, SEED_END_MS, SEED_START_MS, iso, iso_date

POOL_SIZE = 256
#: The first bytes of a digest are for computed generators; after them, every property has one byte.
DIGEST_HEAD = 16


class Facts(NamedTuple):
    """The input of a computed generator; a tuple, because one is made for every record."""

    plural: str
    number: int
    id: int
    digest: bytes
    created_ms: int
    modified_ms: int


def _timestamp(rng: random.Random) -> int:
    return rng.randrange(SEED_START_MS, SEED_END_MS)


def _multi(definition: Definition, rng: random.Random) -> str:
    values = [value for value, _ in definition.options]
    return ";".join(rng.sample(values, rng.randint(1, len(values))))


def _json_text(rng: random.Random) -> str:
    return json.dumps(
        {
            "version": rng.randint(1, 3),
            "tags": rng.sample(("a", "b", "c"), 2),
            "score": round(rng.random(), 3),
        }
    )


def _street(rng: random.Random) -> str:
    return f"{rng.randint(1, 999)} {rng.choice(words.STREETS)} St"


_PROBABILITIES = (0.0, 0.1, 0.2, 0.25, 0.4, 0.6, 0.8, 0.9, 1.0)


def _full(number: float) -> str:
    return f"{Decimal(number):f}"


def _product(rng: random.Random) -> str:
    with localcontext(prec=200):
        return f"{Decimal(rng.randrange(100, 10**8)) / 100 * Decimal(rng.choice(_PROBABILITIES)):f}0000000"


_DRAWN: dict[str, Callable[[Definition, random.Random], str | None]] = {
    "nothing": lambda _d, _r: None,
    "text": lambda _d, r: f"{r.choice(words.PROPERTY_STEMS).capitalize()} {r.randint(1, 9999)}",
    "textarea": lambda _d, r: " ".join(r.sample(words.SENTENCES, r.randint(1, 3))),
    "html": lambda _d, r: f"<p>{r.choice(words.SENTENCES)}</p><ul><li>{r.choice(words.PRODUCTS)}</li></ul>",
    "integer": lambda _d, r: str(r.randint(0, 10 ** r.randint(1, 6))),
    "decimal": lambda _d, r: f"{r.uniform(-20, 10 ** r.randint(2, 6)):.2f}".rstrip("0").rstrip("."),
    "calculation": lambda _d, r: r.choice((repr(round(r.random() * 100, r.randint(1, 9))), str(r.randint(0, 99)))),
    # HubSpot writes all digits of a double, and of the product of a double and an amount (observed).
    "probability": lambda _d, r: _full(r.choice(_PROBABILITIES)),
    "projected": lambda _d, r: _product(r),
    "date": lambda _d, r: iso_date(_timestamp(r)),
    "datetime": lambda _d, r: iso(_timestamp(r)),
    "select": lambda d, r: r.choice(d.options)[0],
    "multi": _multi,
    "owner": lambda _d, r: r.choice(OWNER_IDS),
    "bool": lambda _d, r: r.choice(("true", "false")),
    "phone": lambda _d, r: f"+1 {r.randint(200, 989)}-555-{r.randint(0, 9999):04d}",
    "coordinates": lambda _d, r: f"{r.uniform(-90, 90):.6f},{r.uniform(-180, 180):.6f}",
    "json": lambda _d, r: _json_text(r),
    "firstname": lambda _d, r: r.choice(words.FIRST_NAMES),
    "lastname": lambda _d, r: r.choice(words.LAST_NAMES),
    "company": lambda _d, r: f"{r.choice(words.COMPANY_STEMS)} {r.choice(words.COMPANY_KINDS)}",
    "domain": lambda _d, r: f"{r.choice(words.COMPANY_STEMS).lower()}{r.randint(1, 99)}.example",
    "street": lambda _d, r: _street(r),
    "city": lambda _d, r: r.choice(words.CITIES),
    "zip": lambda _d, r: f"{r.randint(0, 99999):05d}",
    "country": lambda _d, r: r.choice(("Norway", "Germany", "Ireland", "Portugal", "United States", "Türkiye")),
    "visit": lambda _d, r: f"{r.choice(words.VISITS)} | {r.choice(words.LAST_NAMES)}",
    "manager": lambda _d, r: f"{r.choice(words.FIRST_NAMES)} {r.choice(words.LAST_NAMES)}",
}

#: By generator: values that real portals have although they do not fit the property's type (observed); 1 % of a pool.
_IRREGULAR: dict[str, tuple[Callable[[random.Random], str], ...]] = {
    "date": (lambda r: str(_timestamp(r) // DAY_MS * DAY_MS), lambda _r: ""),
    "datetime": (lambda r: str(_timestamp(r)), lambda _r: ""),
    "integer": (lambda _r: "N/A", lambda _r: ""),
    "decimal": (lambda _r: "N/A", lambda _r: "1,250.00"),
    "select": (lambda _r: "removed_option", lambda _r: ""),
    "multi": (lambda _r: "email;removed_option", lambda _r: ""),
    "bool": (lambda _r: "",),
    "text": (lambda _r: "", lambda _r: "  padded  "),
    "textarea": (lambda _r: "first line\nsecond line\r\n\nlast line", lambda _r: ""),
}


@lru_cache(maxsize=4_096)
def pool(key: str, definition: Definition, *, oddities: bool) -> tuple[str | None, ...]:
    """The 256 values of one property; `key` has seed, type and name. Cached, so that a reset is fast."""
    rng = random.Random(key)  # noqa: S311 - made-up data, reproducible on purpose
    draw = _DRAWN[definition.generator]
    values = [None if rng.randrange(100) < definition.null_percent else draw(definition, rng) for _ in range(POOL_SIZE)]
    irregular = _IRREGULAR.get(definition.generator, ()) if not definition.calculated else ()
    if oddities and irregular:
        for place in rng.sample(range(POOL_SIZE), 3):
            values[place] = rng.choice(irregular)(rng)
    return tuple(values)


def _stage(facts: Facts) -> tuple[str, str, dict[str, str]]:
    rows = STAGE_CHOICES[facts.plural]
    return rows[facts.digest[0] % len(rows)]


def _email(facts: Facts) -> str | None:
    if facts.digest[1] < 12:
        return None
    first = words.FIRST_NAMES[facts.digest[2] % 24].lower().replace("á", "a")
    last = words.LAST_NAMES[facts.digest[3] % 8].lower()
    return f"{first}.{last}.{facts.id}@mail{facts.digest[4] % 20}.example"


def _start_ms(facts: Facts) -> int:
    day = (facts.created_ms // DAY_MS) + facts.digest[5] % 60
    return day * DAY_MS + (7 * 60 + 15 * (facts.digest[6] % 44)) * 60_000


def _minutes(facts: Facts) -> int:
    return 15 * (1 + facts.digest[7] % 6)


def _closed(facts: Facts, probability: str | None) -> str:
    metadata = _stage(facts)[2]
    if probability is None:
        return metadata["isClosed"]
    return "true" if metadata["isClosed"] == "true" and metadata.get("probability") == probability else "false"


COMPUTED: dict[str, Callable[[Facts], str | None]] = {
    "id": lambda f: str(f.id),
    "created": lambda f: iso(f.created_ms),
    "modified": lambda f: iso(f.modified_ms),
    "email": _email,
    "dealname": lambda f: (
        f"{words.COMPANY_STEMS[f.digest[8] % 12]} {words.COMPANY_KINDS[f.digest[9] % 10]}"
        f" | {words.PRODUCTS[f.digest[10] % 8]} #{f.number + 1}"
    ),
    "pipeline": lambda f: _stage(f)[0],
    "stage": lambda f: _stage(f)[1],
    "closed": lambda f: _closed(f, None),
    "closed_won": lambda f: _closed(f, "1.0"),
    "closed_lost": lambda f: _closed(f, "0.0"),
    "start": lambda f: iso(_start_ms(f)),
    "end": lambda f: iso(_start_ms(f) + _minutes(f) * 60_000),
    "duration": lambda f: str(_minutes(f) * 60_000),
    "division_name": lambda f: f"{words.CITIES[f.number % 32]} {words.REGIONS[f.number // 32 % 5]} {f.number + 1}",
    "division_code": lambda f: f"DIV-{f.number + 1:04d}",
}
#: The generators that also apply to records created later; their other properties start empty.
SYSTEM_GENERATORS = frozenset({"id", "created", "modified"})
