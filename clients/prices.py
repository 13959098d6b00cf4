"""What the processing of an image costs in us-east-1, in US dollars. tests/unit/test_cost.py compares them."""

# `make cost`: a direct upload.
TYPICAL_DOLLARS = 87e-6
# Five attempts with 3,008 MB, each of which ends at its time limit of 120 s.
MAX_DOLLARS = 0.0295
