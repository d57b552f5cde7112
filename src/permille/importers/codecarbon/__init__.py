"""CodeCarbon's files: rows to runs, and runs to trials."""
