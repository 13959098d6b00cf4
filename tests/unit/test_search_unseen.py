"""100 searches over 50 captions of everyday photographs, in the search index as it is deployed.

unseen.tsv has the captions, and the searches with the captions that a person accepts as right. They have one to three
words, and the last one may be a beginning. They were written without the table of meanings at hand, before any of them
was run.
"""

from dataclasses import replace
from statistics import mean

import pytest

from image_pipeline.models import SHARED
from image_pipeline.storage import search_index, terms
from tools.local.sample_images import sample_image, store_sample
from tools.template import ROOT

MIN_RECALL = 0.85
MIN_PRECISION = 0.9


def captions_and_searches() -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return the captions by their number, and the numbers of the captions that are right for each search."""
    lines = (ROOT / "tests" / "search" / "unseen.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    captions = {first: second for first, second in rows if first.isdecimal()}
    return captions, {first: set(second.split()) for first, second in rows if not first.isdecimal()}


@pytest.mark.usefixtures("aws")
def test_searches_find_what_a_person_accepts() -> None:
    captions, searches = captions_and_searches()
    assert (len(captions), len(searches)) == (50, 100)
    numbers = {indexed(caption, int(number)): number for number, caption in captions.items()}
    recalls, precisions = [], []
    for search, right in searches.items():
        page = search_index.search(SHARED, terms.wanted(search), len(captions), None)
        found = {numbers[record.image_id] for record in page.records}
        recalls.append(len(found & right) / len(right))
        precisions.append(len(found & right) / len(found) if found else 1)
    assert mean(recalls) >= MIN_RECALL
    assert mean(precisions) >= MIN_PRECISION


def indexed(caption: str, minutes: int) -> str:
    """Store an image with a caption and index it. Return its id."""
    record = replace(sample_image(minutes=minutes), caption=caption, original_name="")
    store_sample(record)
    search_index.update(record.image_id)
    return record.image_id
