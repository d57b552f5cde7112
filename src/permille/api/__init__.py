"""The Python interface: record(), spans and the measured decorator, on the same engine."""
