"""Pipelines that generate images, through diffusers and torch."""
