"""What turns an empty machine into a node: files for its first boot."""
