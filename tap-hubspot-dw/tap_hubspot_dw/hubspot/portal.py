"""One HubSpot account, as the tap reads it: a part for each kind of request."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.batch_reads import BatchReads
from tap_hubspot_dw.hubspot.descriptions import Descriptions, Kept
from tap_hubspot_dw.hubspot.limits import Limits
from tap_hubspot_dw.hubspot.lists import Lists, LongestUrl
from tap_hubspot_dw.hubspot.searches import Searches


@dataclass(frozen=True)
class Learned:
    """What the requests of a run have learned; all views of a portal share it."""

    descriptions: Kept = field(default_factory=Kept)
    longest_url: LongestUrl = field(default_factory=LongestUrl)


class Portal:
    """One account: `descriptions`, `lists`, `searches` and `batch_reads`. Thread-safe."""

    def __init__(self, api: Api, limits: Limits | None = None, learned: Learned | None = None) -> None:
        self.api = api
        self.limits = limits or Limits()
        self._learned = learned or Learned()
        self.descriptions = Descriptions(api, self._learned.descriptions)
        self.batch_reads = BatchReads(api, self.limits)
        self.lists = Lists(api, self.batch_reads, self.limits, self._learned.longest_url)
        self.searches = Searches(api, self.limits)

    def counted_by(self, traffic: Traffic) -> Portal:
        """Return a view of the portal whose requests are counted in `traffic`."""
        return Portal(replace(self.api, traffic=traffic), self.limits, self._learned)
