"""`python -m tap_hubspot_dw` is the command line."""

from tap_hubspot_dw.tap import TapHubSpotDW

TapHubSpotDW.cli()
