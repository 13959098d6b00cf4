"""Decoding of pixels, near the size that thumbnails and captions need."""

from PIL import Image

# Pillow would warn above 89 million pixels and fail above 179 million. `pictures.decode` has checked the size before.
Image.MAX_IMAGE_PIXELS = None
