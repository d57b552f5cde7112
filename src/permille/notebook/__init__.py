"""For notebooks: frames of a store's figures, and the ``%%energy`` cell magic."""
