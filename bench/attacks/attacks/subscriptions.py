"""Not yet."""
NAME = "subscriptions"
