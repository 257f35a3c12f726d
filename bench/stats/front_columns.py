"""Columns of the page's first table that are computed from others; a suite may name them like ids of metrics."""

OVER_FLOOR, CALLS, MILLISECONDS, DONE = "over_floor", "network_calls", "milliseconds", "tasks_done"
DERIVED = (OVER_FLOOR, CALLS, MILLISECONDS, DONE)
