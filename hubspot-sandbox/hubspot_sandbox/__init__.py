"""A local HubSpot CRM: the read API on 127.0.0.1 over a seeded portal of any size, with limits, faults and quirks.

It follows HubSpot's documents independently: it shares no code with the clients tested against it.
"""

from __future__ import annotations

__version__ = "0.2.0"
