"""``permille agent``: serve this machine's recorder to a run on another machine."""
