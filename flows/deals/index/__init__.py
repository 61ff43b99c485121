"""The content index: what the platform is known to hold, and what each upload makes of it."""
