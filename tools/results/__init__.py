"""What the labs' systems came to, kept as small text files, and the page made from these. Imports no torch."""
