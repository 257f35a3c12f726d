"""The figures of a suite; each is a matplotlib Figure with a csv of the numbers that it shows."""
