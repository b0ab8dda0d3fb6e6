"""`python -m tap_hubspot_dw` is the command line."""

from tap_hubspot_dw.singer.tap import TapHubSpotDW

TapHubSpotDW.cli()
