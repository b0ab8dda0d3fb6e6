"""Requests to HubSpot, in HubSpot's words."""
