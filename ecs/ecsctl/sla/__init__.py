"""``ecsctl sla``: what was promised, and what the metrics say."""
