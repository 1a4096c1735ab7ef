"""Memory that tensors leave is kept for those to come, unless the environment says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from zoo.memory import keep_freed

if {keeps}:
    keep_freed()

def step():
    held = [bytearray(2**23) for _ in range(8)]  # more at a time than glibc keeps by itself

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keeps: bool, **environment: str) -> int:
    """How many pages steps fetch that have had them already, in a process of their own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    code = FAULTS.format(keeps=keeps)
    done = subprocess.run(
        [sys.executable, "-c", code], env=own | environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in a way of its own")
def test_pages_are_not_fetched_again_and_again() -> None:
    assert faults(keeps=False) > 1000 > 100 > faults(keeps=True)
    assert faults(keeps=True, MALLOC_TRIM_THRESHOLD_="100000", MALLOC_MMAP_THRESHOLD_="100000") > 1000
