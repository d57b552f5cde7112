"""Reports in BoAmps' data model (Boavizta), and what permille adds to its own."""
