"""From bytes to rows: fetching, archives, encodings, workbooks, the header row."""
