"""Thumbnails of a picture, as JPEG or PNG bytes."""

from io import BytesIO

from PIL import Image

from image_processing.pictures import Picture

# The file extension of the thumbnails, by the format of the uploaded file.
EXTENSIONS = {"JPEG": "jpg", "PNG": "png"}
_JPEG_QUALITY = 85


def make(picture: Picture, side: int) -> bytes:
    """Return a thumbnail in the format of the uploaded file, without metadata.

    It fits in a square of `side` pixels and keeps the aspect ratio of the metadata. A small picture is not enlarged.
    """
    width, height = picture.metadata.width, picture.metadata.height
    scale = min(1, side / max(width, height))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Pillow's own thumbnail() uses this gap. It reduces by averaging first, which is faster and looks the same.
    small = picture.pixels.resize(shape, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info.clear()
    stream = BytesIO()
    if picture.metadata.format == "JPEG":
        small.save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    else:
        small.save(stream, "PNG")
    return stream.getvalue()
