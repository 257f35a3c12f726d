"""What stands behind the functions of `bench`: opening a task, drawing samples, judging them, and comparing them."""
