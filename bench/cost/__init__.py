"""One module for each question that `python -m bench.cost` answers, with a function

    measure(options: Options, say: Say) -> Json

which prints each result with `say` as soon as it is measured, and returns all numbers.
"""
