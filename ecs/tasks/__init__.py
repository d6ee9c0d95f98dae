"""What a task is and how one is run; knows no HTTP."""
