"""ECS, the Ephemeral Container Service: one POST runs one command in a throwaway container."""

__version__ = "0.1.0"
