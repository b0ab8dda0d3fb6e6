"""How to read HubSpot completely: change windows, id ranges, state."""
