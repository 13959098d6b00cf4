import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat
from PIL.JpegImagePlugin import JpegImageFile

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_processing import pictures, thumbnails
from tests import icc
from tests.contract.exif import exif
from tests.pictures import OTHER_FORMATS, encode, opened
from tests.png_bytes import SIGNATURE, chunk

PHOTOS = Path(__file__).parent.parent / "photos"
NOW = datetime(2025, 3, 16, 7, 9, 26, 500_000, UTC)
MAX_PIXELS = 50_000_000
RED, BLUE = (220, 30, 30), (30, 40, 220)


def decoded(content: bytes) -> pictures.Picture:
    return pictures.decode(content, NOW, MAX_PIXELS)


def two_halves(width: int = 80, height: int = 40) -> Image.Image:
    """Return an image whose left half is red and right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def near(actual: Any, expected: tuple[int, ...], tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(actual, expected, strict=True))


def png_with(extra: bytes, **options: Any) -> bytes:
    """Return a PNG with an extra chunk before its end."""
    plain = encode(two_halves(), **options)
    return plain[:-12] + extra + plain[-12:]


def raw_png(depth: int, colour_type: int, extra: bytes, scanline: bytes, side: int = 1) -> bytes:
    """Return a PNG with one chunk between the header, which claims `side` x `side` pixels, and the data."""
    header = chunk(b"IHDR", struct.pack(">2I5B", side, side, depth, colour_type, 0, 0, 0))
    return SIGNATURE + header + extra + chunk(b"IDAT", zlib.compress(scanline)) + chunk(b"IEND", b"")


class TestFormats:
    @pytest.mark.parametrize("image_format", OTHER_FORMATS)
    def test_other_formats_are_unsupported(self, image_format: str) -> None:
        with pytest.raises(UnsupportedImageError):
            decoded(encode(two_halves(), image_format))

    @pytest.mark.parametrize("content", [b"", b"\xff", b"\x89PNG", b"<svg/>", b"JFIF\xff\xd8\xff"])
    def test_the_first_bytes_decide(self, content: bytes) -> None:
        with pytest.raises(UnsupportedImageError):
            decoded(content)

    def test_no_other_decoder_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opening = Mock(wraps=Image.open)
        monkeypatch.setattr(Image, "open", opening)
        decoded(encode(two_halves()))
        decoded(encode(two_halves(), "JPEG"))
        assert [call.kwargs["formats"] for call in opening.call_args_list] == [("PNG",), ("JPEG",)]

    def test_metadata_tells_size_format_and_bytes(self) -> None:
        content = encode(two_halves(), "JPEG")
        metadata = decoded(content).metadata
        assert (metadata.width, metadata.height, metadata.format) == (80, 40, "JPEG")
        assert metadata.size_bytes == len(content)

    def test_a_progressive_jpeg(self) -> None:
        picture = decoded(encode(two_halves(), "JPEG", progressive=True))
        assert near(picture.pixels.getpixel((5, 20)), RED)

    def test_a_cmyk_jpeg_becomes_rgb(self) -> None:
        picture = decoded(encode(two_halves().convert("CMYK"), "JPEG", quality=95))
        assert picture.pixels.mode == "RGB"
        # Printed red is less bright than red on a screen.
        assert near(picture.pixels.getpixel((5, 20)), (210, 65, 53))

    def test_a_grayscale_jpeg_stays_gray(self) -> None:
        picture = decoded(encode(two_halves().convert("L"), "JPEG"))
        assert opened(thumbnails.make(picture, 32)).mode == "L"

    def test_the_first_frame_of_an_mpo_is_a_jpeg(self) -> None:
        other = Image.new("RGB", (80, 40), "green")
        picture = decoded(encode(two_halves(), "MPO", save_all=True, append_images=[other]))
        assert picture.metadata.format == "JPEG"
        assert near(picture.pixels.getpixel((5, 20)), RED)

    def test_the_first_frame_of_an_apng(self) -> None:
        other = Image.new("RGB", (80, 40), "green")
        picture = decoded(encode(two_halves(), "PNG", save_all=True, append_images=[other]))
        assert near(picture.pixels.getpixel((5, 20)), RED)
        assert getattr(opened(thumbnails.make(picture, 32)), "n_frames", 1) == 1

    @pytest.mark.parametrize(
        ("value", "expected"), [(0, 0), (255, 0), (256, 1), (128 * 257, 128), (65280, 255), (65535, 255)]
    )
    def test_sixteen_bits_are_scaled_not_clipped(self, value: int, expected: int) -> None:
        gray = Image.new("I;16", (4, 4), value)
        assert decoded(encode(gray)).pixels.mode == "L"
        assert decoded(encode(gray)).pixels.getpixel((0, 0)) == expected

    def test_only_the_exact_gray_of_sixteen_bits_is_transparent(self) -> None:
        gray = Image.new("I;16", (2, 1), 40_000)
        gray.putpixel((1, 0), 40_001)
        pixels = decoded(encode(gray, transparency=40_000)).pixels
        assert [pixels.getpixel((x, 0)) for x in range(2)] == [(156, 156, 156, 0), (156, 156, 156, 255)]

    @pytest.mark.parametrize(("mode", "kept_as"), [("1", "L"), ("L", "L"), ("P", "RGB"), ("RGB", "RGB")])
    def test_opaque_pngs_have_no_alpha(self, mode: str, kept_as: str) -> None:
        assert decoded(encode(two_halves().convert(mode))).pixels.mode == kept_as

    @pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "RGB", "L"])
    def test_every_kind_of_transparency_is_kept(self, mode: str) -> None:
        if mode in {"LA", "RGBA"}:
            content = encode(Image.new(mode, (40, 40), 0))
        else:
            black = {"P": 0, "L": 0, "RGB": (0, 0, 0)}[mode]
            content = encode(Image.new(mode, (40, 40), 0), transparency=black)
        thumbnail = opened(thumbnails.make(decoded(content), 32))
        assert thumbnail.mode == "RGBA"
        assert thumbnail.getchannel("A").getextrema() == (0, 0)

    @pytest.mark.parametrize(
        ("depth", "colour_type", "samples"),
        [
            (1, 0, [1]),
            (2, 0, [2]),
            (4, 0, [9]),
            (8, 0, [99]),
            (16, 0, [40_000]),
            (8, 2, [1, 2, 3]),
            (16, 2, [9, 900, 9000]),
            (16, 2, [65_280, 40_000, 0]),
        ],
    )
    def test_a_transparent_colour_is_found_at_any_depth(self, depth: int, colour_type: int, samples: list[int]) -> None:
        row = b"".join(sample.to_bytes(2) if depth == 16 else bytes([sample << (8 - depth)]) for sample in samples)
        content = raw_png(depth, colour_type, chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples)), b"\0" + row)
        assert decoded(content).pixels.getchannel("A").getextrema() == (0, 0)

    def test_a_palette_without_colours_is_damage(self) -> None:
        with pytest.raises(UndecodableImageError):
            decoded(raw_png(8, 3, b"", b"\0\0"))

    def test_a_large_image_is_processed_at_a_reduced_size(self) -> None:
        for image_format, worked_on in (("JPEG", (1050, 1050)), ("PNG", (840, 1050))):
            picture = decoded(encode(Image.new("RGB", (4200, 8400)), image_format))
            assert picture.pixels.size == worked_on
            assert (picture.metadata.width, picture.metadata.height) == (4200, 8400)

    @pytest.mark.parametrize(("size", "decoded_at"), [((4000, 3000), (1000, 750)), ((3000, 4000), (750, 1000))])
    def test_a_large_jpeg_is_decoded_in_part_if_it_is_wide_or_high(
        self, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], decoded_at: tuple[int, int]
    ) -> None:
        draft, sizes = JpegImageFile.draft, []

        def recorded(image: JpegImageFile, *arguments: Any) -> Any:
            drafted = draft(image, *arguments)
            sizes.append(image.size)
            return drafted

        monkeypatch.setattr(JpegImageFile, "draft", recorded)
        decoded(encode(Image.new("L", size), "JPEG"))
        assert sizes == [decoded_at]

    @pytest.mark.parametrize(
        ("size", "worked_on"),
        [
            ((1920, 1440), (960, 720)),
            ((1919, 1440), (1919, 720)),
            ((1920, 1439), (960, 1439)),
            ((1919, 1439), (1919, 1439)),
            ((1439, 1920), (1439, 960)),
            ((20_000, 800), (1000, 800)),
            ((20_000, 1), (1000, 1)),
            ((1925, 1444), (962, 722)),
            ((1924, 1445), (962, 722)),
        ],
    )
    def test_each_side_is_halved_once_it_is_twice_the_working_size(
        self, size: tuple[int, int], worked_on: tuple[int, int]
    ) -> None:
        assert decoded(encode(Image.new("L", size))).pixels.size == worked_on


class TestOrientation:
    @pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_all_eight_orientations_are_turned_upright(self, orientation: int, image_format: str) -> None:
        upright = two_halves()
        upright.paste("white", (0, 0, 20, 20))
        undo = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        stored = upright.transpose(undo[orientation]) if orientation in undo else upright
        sharp = {"quality": 95, "subsampling": 0} if image_format == "JPEG" else {}
        picture = decoded(encode(stored, image_format, exif=exif(orientation=orientation), **sharp))
        assert (picture.metadata.width, picture.metadata.height) == (80, 40)
        difference = ImageStat.Stat(ImageChops.difference(picture.pixels.convert("RGB"), upright))
        assert max(difference.mean) < 3

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_an_unknown_orientation_is_ignored(self, orientation: int) -> None:
        content = encode(two_halves(), "JPEG", exif=exif(orientation=orientation))
        assert decoded(content).metadata.width == 80


class TestThumbnails:
    @pytest.mark.parametrize(
        ("size", "side", "expected"),
        [
            ((2000, 1000), 512, (512, 256)),
            ((1000, 2000), 128, (64, 128)),
            ((100, 60), 128, (100, 60)),
            ((128, 128), 128, (128, 128)),
            ((3000, 1), 128, (128, 1)),
        ],
    )
    def test_they_fit_keep_the_ratio_and_never_grow(
        self, size: tuple[int, int], side: int, expected: tuple[int, int]
    ) -> None:
        assert opened(thumbnails.make(decoded(encode(Image.new("RGB", size))), side)).size == expected

    def test_the_thumbnail_of_a_large_photograph_is_like_one_made_from_all_pixels(self) -> None:
        photograph = Image.open(PHOTOS / "coffee.jpg").resize((4800, 3200), Image.Resampling.LANCZOS)
        content = encode(photograph, "JPEG", quality=95)
        expected = opened(content)
        expected.thumbnail((512, 512), Image.Resampling.LANCZOS)
        expected = opened(encode(expected, "JPEG", quality=85))
        thumbnail = opened(thumbnails.make(decoded(content), 512))
        assert thumbnail.size == expected.size
        assert max(ImageStat.Stat(ImageChops.difference(thumbnail, expected)).mean) < 2

    def test_they_are_resampled_with_lanczos(self) -> None:
        photograph = Image.open(PHOTOS / "chelsea.png").convert("RGB")
        expected = photograph.copy()
        expected.thumbnail((128, 128), Image.Resampling.LANCZOS)
        assert opened(thumbnails.make(decoded(encode(photograph)), 128)).tobytes() == expected.tobytes()

    def test_jpegs_have_quality_85_and_optimal_tables(self) -> None:
        picture = decoded((PHOTOS / "coffee.jpg").read_bytes())
        expected = picture.pixels.copy()
        expected.thumbnail((128, 128), Image.Resampling.LANCZOS)
        expected.info.clear()
        assert thumbnails.make(picture, 128) == encode(expected, "JPEG", quality=85, optimize=True)

    @pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
    def test_no_metadata_gets_into_a_thumbnail(self, image_format: str) -> None:
        tags = Image.Exif()
        tags[0x010E] = "SECRET description"
        tags.get_ifd(0x8825)[1] = "SECRET"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options: dict[str, Any] = {"exif": tags, "icc_profile": profile}
        if image_format == "JPEG":
            options["comment"] = b"SECRET comment"
        thumbnail = thumbnails.make(decoded(encode(two_halves(), image_format, **options)), 64)
        for trace in (b"SECRET", b"Exif", b"ICC", b"iCCP", b"tEXt"):
            assert trace not in thumbnail

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_opaque_pictures_are_flattened_to_rgb(self, mode: str) -> None:
        assert pictures.flatten(decoded(encode(two_halves().convert(mode)))).mode == "RGB"

    def test_transparent_parts_are_flattened_over_white(self) -> None:
        image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
        image.paste((*BLUE, 255), (0, 0, 20, 40))
        flat = pictures.flatten(decoded(encode(image)))
        assert flat.mode == "RGB"
        assert flat.getpixel((5, 5)) == BLUE
        assert flat.getpixel((35, 5)) == (255, 255, 255)


class TestColours:
    def test_inks_look_as_their_profile_says(self) -> None:
        red, white, black = (123, 197, 180), (255, 128, 128), (0, 128, 128)
        inks = Image.new("CMYK", (60, 40), (0, 0, 0, 0))
        inks.paste((255, 0, 0, 0), (0, 0, 20, 40))
        inks.paste((0, 0, 0, 255), (40, 0, 60, 40))
        profile = icc.of_inks(red, white, white, black)
        picture = decoded(encode(inks, "JPEG", icc_profile=profile, quality=95))
        assert near(picture.pixels.getpixel((8, 20)), RED)
        assert near(picture.pixels.getpixel((30, 20)), (255, 255, 255))
        assert near(picture.pixels.getpixel((52, 20)), (0, 0, 0))

    @pytest.mark.parametrize("profile", [b"", b"nonsense", b"\0" * 200])
    def test_a_broken_profile_is_ignored(self, profile: bytes) -> None:
        picture = decoded(encode(two_halves(), icc_profile=profile))
        assert picture.pixels.getpixel((5, 5)) == RED


def dated(created: str | None, modified: str | None = None) -> bytes:
    return encode(two_halves(), "JPEG", exif=exif(created, modified))


TIME = chunk(b"tIME", struct.pack(">H5B", 2021, 2, 3, 4, 5, 6))


class TestDates:
    def test_both_dates_are_read_from_exif(self) -> None:
        metadata = decoded(dated("2019:07:04 10:11:12", "2020:01:02 03:04:05")).metadata
        assert metadata.created_at == datetime(2019, 7, 4, 10, 11, 12, tzinfo=UTC)
        assert metadata.modified_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "    :  :     :  :  ",
            "0000:00:00 00:00:00",
            "2019:13:04 10:11:12",
            "1700:01:01 00:00:00",
            "2999:01:01 00:00:00",
            "yesterday",
        ],
    )
    def test_an_invalid_date_is_replaced_by_the_time_of_the_upload(self, text: str) -> None:
        metadata = decoded(dated(text, text)).metadata
        assert metadata.created_at == metadata.modified_at == NOW

    def test_the_first_photograph_was_taken_in_1826(self) -> None:
        assert decoded(dated("1826:01:01 00:00:00")).metadata.created_at == datetime(1826, 1, 1, tzinfo=UTC)
        assert decoded(dated("1825:12:31 23:59:59")).metadata.created_at == NOW

    def test_without_exif_both_dates_are_the_time_of_the_upload(self) -> None:
        metadata = decoded(encode(two_halves())).metadata
        assert metadata.created_at == metadata.modified_at == NOW

    def test_a_date_that_is_in_the_future_in_every_time_zone_is_ignored(self) -> None:
        ahead = NOW + timedelta(hours=15)
        assert decoded(dated(ahead.strftime("%Y:%m:%d %H:%M:%S"))).metadata.created_at == NOW

    def test_a_camera_may_be_in_a_time_zone_that_is_ahead(self) -> None:
        ahead = NOW + timedelta(hours=13)
        metadata = decoded(dated(ahead.strftime("%Y:%m:%d %H:%M:%S"))).metadata
        assert metadata.created_at == ahead.replace(microsecond=0)

    def test_the_dates_of_a_png_come_from_its_time_chunk(self) -> None:
        metadata = decoded(png_with(TIME)).metadata
        assert metadata.created_at == metadata.modified_at == datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)

    def test_another_chunk_with_a_time_is_ignored(self) -> None:
        assert decoded(png_with(chunk(b"teSt", TIME[8:-4]))).metadata.modified_at == NOW

    def test_exif_is_preferred_to_the_time_chunk_of_a_png(self) -> None:
        content = png_with(TIME, exif=exif(changed="2020:01:02 03:04:05"))
        assert decoded(content).metadata.modified_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)

    @pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\xff" * 7, b"\x07\xe5\x02\x03"])
    def test_a_broken_time_of_a_png_is_ignored(self, data: bytes) -> None:
        assert decoded(png_with(chunk(b"tIME", data))).metadata.modified_at == NOW


class TestDamage:
    @pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
    def test_a_truncated_file_is_refused(self, image_format: str, share: float) -> None:
        content = encode(Image.effect_noise((64, 64), 50), image_format)
        with pytest.raises(UndecodableImageError):
            decoded(content[: max(9, int(len(content) * share))])

    def test_a_corrupt_checksum_is_refused(self) -> None:
        content = bytearray(encode(two_halves()))
        content[30] ^= 1
        with pytest.raises(UndecodableImageError):
            decoded(bytes(content))

    def test_more_pixels_than_the_limit_are_refused(self) -> None:
        with pytest.raises(ImageTooLargeError, match=r"^The image has more than 3,199 pixels"):
            pictures.decode(encode(two_halves()), NOW, 80 * 40 - 1)
        assert pictures.decode(encode(two_halves()), NOW, 80 * 40).metadata.width == 80

    def test_a_header_that_claims_a_huge_image_is_refused_before_decoding(self) -> None:
        with pytest.raises(ImageTooLargeError):
            decoded(raw_png(8, 2, b"", bytes(4), side=60_000))
