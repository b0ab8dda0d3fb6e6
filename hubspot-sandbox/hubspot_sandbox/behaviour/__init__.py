"""How HubSpot behaves: limits, faults, quirks, tokens, the request log."""
