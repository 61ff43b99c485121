"""Deals in transit: staged, gated, compared with the content index, and written as the CSV to be sent."""
