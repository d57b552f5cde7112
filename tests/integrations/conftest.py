"""This process on a machine of known power."""

from tests.api.conftest import machine

__all__ = ["machine"]
