"""A property of each type for a stream of tests, as a SCHEMA message declares them."""

from __future__ import annotations

PROPERTIES = {
    "id": {"type": "integer"},
    "name": {"type": ["string", "null"]},
    "amount": {"type": ["number", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "day": {"type": ["string", "null"], "format": "date"},
    "is_on": {"type": ["boolean", "null"]},
    "extra": {"type": ["object", "null"]},
    "must": {"type": "string"},
}
