"""What a request costs, measured: not part of the test suite. `python -m tests.benchmark --help` says how."""
