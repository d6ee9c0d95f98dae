"""The operator's command line, ``ecsctl``."""
