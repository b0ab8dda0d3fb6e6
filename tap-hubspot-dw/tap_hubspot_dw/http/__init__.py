"""HTTP to HubSpot: tokens, rate limits, retries, replies."""
