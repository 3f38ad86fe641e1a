"""A report on one audit: typed content first, then a page, Markdown, JSON or a dataset card of it."""
