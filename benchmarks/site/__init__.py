"""What an experiment builds below one temporary directory, on free ports of loopback: read ``site`` first."""
