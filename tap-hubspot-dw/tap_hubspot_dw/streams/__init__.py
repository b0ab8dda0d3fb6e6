"""The tap's streams: CRM objects, their associations, what describes the portal, and the run itself."""
