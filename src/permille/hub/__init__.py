"""The Hugging Face Hub: models and datasets by id and revision.

``selection`` is pure: which files of a repository a backend needs. ``client`` asks and downloads,
into the Hub's own cache (``HF_HOME``), before anything is measured; ``HF_HUB_OFFLINE=1`` keeps it
to what is there, ``HF_ENDPOINT`` names another server, ``HF_TOKEN`` opens what is gated.
"""
