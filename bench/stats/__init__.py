"""Read the results of a suite, and make summaries, intervals, paired comparisons and ranks."""
