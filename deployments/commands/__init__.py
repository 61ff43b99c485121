"""The commands of dealcast, one module each."""
