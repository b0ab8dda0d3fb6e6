"""Mutations of the portal."""
