"""What was measured, as JSON, tables (``rows``) and ``pictures``, which ``output`` makes again from the JSON alone."""
