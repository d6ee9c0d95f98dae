"""``ecsctl probe``: asks the service from outside, as a client does."""
