"""Run detectors over a corpus and say what the findings mean."""

__version__ = "0.1.0"
