"""From a page of HubSpot objects to Singer records."""
