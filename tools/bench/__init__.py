"""Measure captions and uploads against what everybody does, and against what the machine could do: `make bench`."""
