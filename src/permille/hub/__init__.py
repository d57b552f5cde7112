"""The Hugging Face Hub: models and datasets by id and revision.

``selection`` is pure and decides which files of a repository a backend needs. ``client`` downloads
them into the Hub's own cache (``HF_HOME``) before anything is measured. ``HF_HUB_OFFLINE=1`` limits
it to the cache, ``HF_ENDPOINT`` names another server, and ``HF_TOKEN`` gives access to gated
repositories.
"""
