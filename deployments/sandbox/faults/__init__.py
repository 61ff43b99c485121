"""Faults between a client and the platform, on demand."""
