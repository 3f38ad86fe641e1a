"""Measure one batch of documents: no files, no configuration, no corpus."""
