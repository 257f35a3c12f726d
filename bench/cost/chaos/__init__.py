"""Measure what a run loses when it is killed, when its files are damaged, and when its disk is full or read-only."""
