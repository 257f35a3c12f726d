"""One module per rule of the workflow: `python -m bench.stages.<rule> <spec>`."""
