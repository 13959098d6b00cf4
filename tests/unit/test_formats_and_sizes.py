"""The tables of formats and sizes: what the contract requires, and which sentences must name each row."""

from pathlib import Path

import pytest

from image_pipeline.errors import ACCEPTED_FILES, UnsupportedImageError
from image_pipeline.models import MEDIA_TYPES, STANDARD_SIZES, ImageFormat, ThumbnailSize, any_of

API = Path("docs/api.md").read_text()


def test_the_tables_have_what_the_contract_names() -> None:
    assert set(ImageFormat) >= {"JPEG", "PNG"}
    assert [size for size in ThumbnailSize if size.is_in_every_image] == ["small", "medium"]
    assert ACCEPTED_FILES.startswith("JPG")
    assert UnsupportedImageError.message == (
        f"Unsupported image file. Only accepts {ACCEPTED_FILES} files. Please try again."
    )


def test_no_two_formats_are_mixed_up() -> None:
    signatures = [row.signature for row in ImageFormat]
    assert all(not one.startswith(other) for one in signatures for other in signatures if one is not other)
    assert len(MEDIA_TYPES) == sum(len(row.extensions) for row in ImageFormat)
    assert {row.thumbnail for row in ImageFormat} <= {"jpg", "png"}


@pytest.mark.parametrize(("names", "text"), [(["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")])
def test_alternatives_are_named_in_one_sentence(names: list[str], text: str) -> None:
    assert any_of(names) == text


def test_the_readme_names_the_formats() -> None:
    assert ACCEPTED_FILES in Path("README.md").read_text()


@pytest.mark.parametrize("row", ImageFormat)
def test_each_format_is_described(row: ImageFormat) -> None:
    assert f"\n- {row} (`{row.media_type}`): " in API


@pytest.mark.parametrize("size", STANDARD_SIZES)
def test_each_size_is_described(size: ThumbnailSize) -> None:
    assert f"\n- `{size}`: {size.pixels} \N{MULTIPLICATION SIGN} {size.pixels} pixels\n" in API
