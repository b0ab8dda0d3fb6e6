"""HubSpot's endpoints, one module per family."""
