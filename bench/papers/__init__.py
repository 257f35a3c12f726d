"""What papers print and claim, beside what we measure."""
