"""The Great Expectations suite, its session for each file, and its Data Docs."""
