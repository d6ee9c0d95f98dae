"""A Debian that boots without a virtual machine: what a rendered node is applied to."""
