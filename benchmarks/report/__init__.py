"""What was measured, as JSON, tables and pictures: ``rows``, ``tables``, ``pictures``, ``machine``, ``progress``.

A JSON file holds all that its tables and its picture show, so ``figures`` makes both again from the files alone.
"""
