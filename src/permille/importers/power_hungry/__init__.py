"""The raw data of *Power Hungry Processing*: what its files say, and its runs as trials."""
