import pytest

from image_pipeline import settings
from tools import template

pytestmark = pytest.mark.usefixtures("aws")


@pytest.mark.parametrize("value", ["", "x", "0", "3601", "-5", "1.5", "²"])
def test_a_number_out_of_range_names_variable_and_range(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("URL_EXPIRY_SECONDS", value)
    with pytest.raises(settings.SettingError, match="URL_EXPIRY_SECONDS"):
        settings.url_expiry_seconds()


def test_the_values_of_the_template_are_usable() -> None:
    assert settings.table_name()
    assert settings.bucket_name()
    assert settings.thumbnails_url() == f"https://{settings.bucket_name()}.s3.us-east-1.amazonaws.com"
    assert settings.url_expiry_seconds() == 900
    assert settings.gateway_timeout_seconds() == 29
    assert settings.max_upload_bytes() == 4_500_000
    assert settings.max_image_pixels() == 50_000_000
    assert settings.max_direct_image_pixels() == 110_000_000
    assert settings.max_caption_tokens() == 20
    assert settings.max_caption_repeats() == 2


def test_sam_local_without_a_table_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    monkeypatch.setenv("TABLE_NAME", settings.TABLE_IN_TEMPLATE)
    with pytest.raises(settings.SettingError, match="make local"):
        settings.table_name()


def test_sam_local_may_use_the_table_of_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    monkeypatch.setenv("TABLE_NAME", "image-pipeline-ImagesTable-1A2B3C")
    assert settings.table_name() == "image-pipeline-ImagesTable-1A2B3C"


def test_the_template_has_the_table_that_sam_local_names() -> None:
    assert template.read()["Resources"][settings.TABLE_IN_TEMPLATE]["Type"] == "AWS::DynamoDB::Table"
