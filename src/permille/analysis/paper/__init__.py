"""The tables and claims of Power Hungry Processing, recomputed from its data."""
