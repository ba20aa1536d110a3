"""Not yet."""
NAME = "crowd"
