"""What all figures have in common: how they look, and images laid out in rows and columns."""
