"""The report as one HTML file: its templates, its pictures and what can be saved from it."""
