"""Tables, and the page of a suite."""
