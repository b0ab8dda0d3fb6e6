"""The report of the last runs, for a terminal or as an HTML page."""
