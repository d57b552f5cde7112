"""The worker process: loads one model, runs it, and reports when it did what."""
