"""The explorer: one page of figures, served on loopback or written as one self-contained file."""
