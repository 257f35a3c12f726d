"""Numbers and claims of papers, and their comparison with what is measured here."""
