"""Replicas: models of a known architecture with random weights, for their energy and time alone.

What a model costs to run follows from its shape and from the lengths of what goes in and comes
out, hardly from its weights. A replica needs no download; its answers mean nothing.

    descriptions   the architectures, read from descriptions.toml; pure
    lengths        how long the inputs and answers of the study were; pure
    inputs         datasets of such inputs, made up
    standins       tokenizers and image processors that fit a description
    building       a description -> a model with random weights
    pipelines      the same for pipelines that make images

docs/replicas.md says what they are good for and how near they come.
"""
