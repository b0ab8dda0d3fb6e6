"""Requests to HubSpot: tokens, limits, retries, replies."""
