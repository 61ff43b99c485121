"""From a CRM export to a forecast: the Prefect flows and their two edges, the export and the platform."""
