"""What can go wrong between a client and the platform, on demand."""
