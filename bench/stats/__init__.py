"""Reading the results of a suite; summaries, intervals, paired comparisons, ranks."""
