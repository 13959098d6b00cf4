"""Decoding of pixels, near the size that thumbnails and captions need."""
