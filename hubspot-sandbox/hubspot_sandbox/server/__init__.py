"""The HTTP server, its proxy and its admin endpoints."""
