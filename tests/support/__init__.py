"""What several test modules share: real services on loopback, started and stopped as plain processes."""
