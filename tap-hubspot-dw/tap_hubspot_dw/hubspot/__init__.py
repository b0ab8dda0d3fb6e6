"""What is asked of HubSpot, in HubSpot's words."""
