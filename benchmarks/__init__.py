"""The same work side by side in one run: `python -m benchmarks`."""
