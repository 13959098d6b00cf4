"""What is unique stays unique when Lambda restores a snapshot several times."""

import json
import subprocess
import sys


def test_two_restores_of_a_snapshot_share_no_id_and_no_random_number() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.snapshot_restores"], capture_output=True, text=True, check=True)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    for restored in (first, second):
        assert len(set(restored["images"])) == len(set(restored["attempts"])) == len(restored["shards"]) == 8
    assert not set(first["images"]) & set(second["images"])
    assert not set(first["attempts"]) & set(second["attempts"])
    # With the same random numbers, all environments would count in the same shards. By chance, that happens once in 16
    # million tests.
    assert first["shards"] != second["shards"]
