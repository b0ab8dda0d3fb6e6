"""The values of seeded records: a pure function of the seed, the object type, the record's number and the property."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hubspot_sandbox.portal import values
from hubspot_sandbox.portal.definition import Definition
from hubspot_sandbox.portal.property_plan import fragments


class SeededValues:
    """A pool of 256 values for each property, and for each record a digest whose bytes pick from the pools.

    Seeded records have values of the properties that are in `definitions` at the start; `definitions` may grow.
    """

    def __init__(self, key: str, definitions: Mapping[str, Definition], *, oddities: bool) -> None:
        self._key = key
        self._definitions = definitions
        self._oddities = oddities
        self._places = {name: values.DIGEST_HEAD + place for place, name in enumerate(definitions)}
        self._hash = hashlib.shake_128(key.encode())
        self._digest_length = values.DIGEST_HEAD + len(definitions)
        self._pools: dict[str, tuple[str | None, ...]] = {}
        self._fragments: dict[str, tuple[bytes, ...]] = {}

    def digest(self, number: int) -> bytes:
        """The bytes that pick the values of a record."""
        hasher = self._hash.copy()
        hasher.update(b"%d" % number)
        return hasher.digest(self._digest_length)

    def place(self, name: str) -> int | None:
        """The byte of a digest that picks the property's value; None for a later property."""
        return self._places.get(name)

    def pool(self, name: str) -> tuple[str | None, ...]:
        """The 256 values of a property that is not computed."""
        pool = self._pools.get(name)
        if pool is None:
            pool = values.pool(f"{self._key}/{name}", self._definitions[name], oddities=self._oddities)
            self._pools[name] = pool
        return pool

    def fragments(self, name: str, key: bytes) -> tuple[bytes, ...]:
        """The pool as JSON, each value after `key`, which is the property's name; nulls for a later property."""
        if name not in self._places:
            return (key + b"null",) * values.POOL_SIZE
        pool = self._fragments.get(name)
        if pool is None:
            pool = self._fragments[name] = fragments(key, self.pool(name))
        return pool
