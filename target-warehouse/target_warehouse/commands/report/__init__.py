"""The report: from the histories to a terminal or a page."""
