"""Several rankings in one answer, and who is to be credited for its clicks."""
