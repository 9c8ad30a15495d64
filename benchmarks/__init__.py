"""Timings and memory of our steps beside plain ones: `python -m benchmarks.NAME`."""

import ddbench.work.engine  # noqa: F401 - sets how OpenMP waits; here, because torch must not be imported before
