"""Headline claims of the papers as hypotheses: a margin, an effect with its interval, a verdict."""
