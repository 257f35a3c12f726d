"""The functions of `bench`: open a task, draw samples, evaluate them, and compare them."""
