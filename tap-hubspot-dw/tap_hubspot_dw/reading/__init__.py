"""How HubSpot is read completely: change windows, id ranges, state."""
