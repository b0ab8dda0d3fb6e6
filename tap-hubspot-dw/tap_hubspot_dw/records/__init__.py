"""Converting pages of HubSpot objects to Singer records."""
