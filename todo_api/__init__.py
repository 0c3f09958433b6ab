"""A to-do list over HTTP."""

__version__ = "0.1.0"
