"""Hypothesis without deadlines: the first example of a test may compile kernels."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")
