"""What the page and the summary say first: who is tied for best, at what cost, and whether the ruler is right."""
