"""Not yet."""
NAME = "storm"
