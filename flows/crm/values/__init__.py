"""From an export's cells to the platform's values: dates, numbers, status, and what follows from them."""
