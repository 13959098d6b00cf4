"""Small images made with Pillow, and functions that encode and decode images."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

from image_pipeline.models import ImageFormat
from tools.demo_model.scenes import Scene, Shape, draw

RED_LEFT_OF_BLUE = Scene(
    240,
    200,
    "white",
    (Shape("large", "red", "circle", (60, 100), 40), Shape("small", "blue", "square", (180, 100), 22)),
    "left of",
)

# Formats that Pillow writes and the API does not accept.
OTHER_FORMATS = sorted({"GIF", "WEBP", "BMP", "TIFF", "ICO", "PDF", "PPM", "JPEG2000"}.difference(ImageFormat))


def encode(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    image.load()
    return image


def scene_png() -> bytes:
    """Return a PNG that the demo model captions as RED_LEFT_OF_BLUE.caption."""
    return encode(draw(RED_LEFT_OF_BLUE))


def in_srgb(image: Image.Image) -> Image.Image:
    """Return the image in RGB. If it has an ICC profile, its colours are converted to sRGB."""
    if profile := image.info.get("icc_profile"):
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert converted
        return converted
    return image.convert("RGB")
