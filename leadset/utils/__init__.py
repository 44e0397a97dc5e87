"""What any room may use: files written atomically, worker processes, memory, statistics of values with gaps."""
