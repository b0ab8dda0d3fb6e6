"""HubSpot's endpoints, a module a family."""
