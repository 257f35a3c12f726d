"""The figures of a suite; each is a matplotlib Figure with the csv of what it shows."""
