import pytest

from image_pipeline import settings
from tools import template

pytestmark = pytest.mark.usefixtures("aws")


@pytest.mark.parametrize("value", ["", "x", "0", "3601", "-5", "1.5", "²"])
def test_a_number_out_of_range_names_variable_and_range(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("URL_EXPIRY_SECONDS", value)
    with pytest.raises(settings.SettingError, match="URL_EXPIRY_SECONDS"):
        settings.url_expiry_seconds()


def test_each_function_gets_what_it_reads_and_no_more() -> None:
    log, thumbnails = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL"}, {"THUMBNAILS_URL", "URL_EXPIRY_SECONDS"}
    upload = {
        "POWERTOOLS_METRICS_NAMESPACE",
        "BUCKET_NAME",
        "MODEL_PATH",
        "MAX_UPLOAD_BYTES",
        "MAX_IMAGE_PIXELS",
        "MAX_CAPTION_TOKENS",
        "MAX_CAPTION_REPEATS",
    }
    functions = template.functions(template.read())
    variables = {name: set(properties["Environment"]["Variables"]) for name, properties in functions.items()}
    assert variables == {
        "UploadImageFunction": {*log, "TABLE_NAME", *thumbnails, *upload},
        "ListImagesFunction": {*log, "TABLE_NAME", *thumbnails, "CURSOR_KEY"},
        "GetImageFunction": {*log, "TABLE_NAME", *thumbnails},
        "GetThumbnailFunction": {*log, "TABLE_NAME", *thumbnails},
        "GetStatsFunction": {*log, "TABLE_NAME"},
    }


def test_the_templates_values_are_usable() -> None:
    assert settings.table_name()
    assert settings.bucket_name()
    assert settings.thumbnails_url() == f"https://{settings.bucket_name()}.s3.us-east-1.amazonaws.com"
    assert settings.cursor_key().startswith(b"arn:aws:cloudformation:")
    assert settings.url_expiry_seconds() == 900
    assert settings.max_upload_bytes() == 4_500_000
    assert settings.max_image_pixels() == 50_000_000
    assert settings.max_caption_tokens() == 20
    assert settings.max_caption_repeats() == 2
