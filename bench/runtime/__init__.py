"""Calling methods: metering and budgets, devices, locks, stopwatch, progress."""
