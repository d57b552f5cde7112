"""CodeCarbon's files: their rows as runs, and runs as trials."""
