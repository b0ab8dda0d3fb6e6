"""The state that the threads of a run share, and the state that only the main thread uses."""

from __future__ import annotations

import copy

from tap_hubspot_dw.singer.tap import TapHubSpotDW


def test_a_stream_that_is_being_read_adds_nothing_to_the_state_that_the_main_thread_writes(config):
    """Meltano's state has no entry of a stream that was not read before."""
    tap = TapHubSpotDW(config=config, state={})
    readings = [stream.begin() for stream in tap.streams.values()]
    before = copy.deepcopy(tap.state)
    for reading in readings:
        reading.load_state()
    assert tap.state == before
