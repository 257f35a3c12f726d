"""The first part of the page and the summary: who is tied for best, at what cost, and whether distances are right."""
