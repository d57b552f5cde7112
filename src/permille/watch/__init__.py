"""Beside a server in production: its own counters next to the energy of its machine."""
