"""A virtual machine that boots a rendering with Debian's own kernel: `bin/boot-node`."""
