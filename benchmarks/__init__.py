"""Timings and memory of our steps beside plain ones: `python -m benchmarks.NAME`."""

from ddbench.core.cpu import wait_briefly

wait_briefly()  # as in `ddbench run`; here, because torch must not be imported before
