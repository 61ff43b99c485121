"""The platform's routes over HTTP, and what stands before them."""
