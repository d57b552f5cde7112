"""Pipelines that make images, through diffusers and torch."""
