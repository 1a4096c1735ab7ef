"""What is measured, one work a file."""
