"""The Docker Engine's verbs, one class each; knows no task.

Reference: https://docs.docker.com/reference/api/engine/version/v1.41/
"""
