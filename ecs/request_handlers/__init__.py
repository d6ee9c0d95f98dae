"""HTTP in and out; knows tasks, and nothing of how they are run."""
