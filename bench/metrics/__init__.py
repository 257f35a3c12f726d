"""Metrics per measurement: what they mean (`definitions`, without torch) and how they are computed (`compute`)."""
