"""Not yet."""
NAME = "random"
