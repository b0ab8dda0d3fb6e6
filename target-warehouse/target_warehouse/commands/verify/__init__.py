"""The check that the warehouse matches HubSpot."""
