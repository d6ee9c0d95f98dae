"""Metrics and traces: reads what tasks and requests are; neither decides nor delays anything."""
