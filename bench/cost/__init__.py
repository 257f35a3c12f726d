"""One module per question that `python -m bench.cost` answers, each with a function

    measure(options: Options, say: Say) -> Json

that says what it finds as it goes, line by line, and returns the numbers.
"""
