"""Columns of the page's first table that are reckoned from others, which a suite may name beside ids of metrics."""

OVER_FLOOR, CALLS, MILLISECONDS, DONE = "over_floor", "network_calls", "milliseconds", "tasks_done"
DERIVED = (OVER_FLOOR, CALLS, MILLISECONDS, DONE)
