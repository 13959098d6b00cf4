"""docs/parameters.md has every parameter of template.yaml, as the template describes it."""

from tools.docs import parameters


def test_the_page_is_up_to_date() -> None:
    assert parameters.PAGE.read_text() == parameters.text(), "docs/parameters.md is out of date: make parameters"


def test_the_page_says_what_the_template_allows() -> None:
    page = parameters.text()
    for row in (
        "| `ApiAuth` | `NONE` | `NONE`, `API_KEY`, `AWS_IAM`, `JWT` | How clients of the routes below /api",
        "| `UploadMemorySize` | `3008` | 1769 to 10240 | Memory of the upload function in MB",
        "| `WafRateLimit` | `2000` | at least 10 | Requests of one IP address",
        "| `KmsKeyArn` | empty | the ARN of a KMS key | KMS key in the region of the stack",
    ):
        assert row in page
