"""``ecsctl check``: is this node right? One module looks at one thing."""
