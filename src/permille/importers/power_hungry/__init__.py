"""The raw data of *Power Hungry Processing*: its metadata, and its runs as trials."""
