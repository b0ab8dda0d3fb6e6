"""How HubSpot behaves: limits, faults, oddities, tokens, the request log."""
