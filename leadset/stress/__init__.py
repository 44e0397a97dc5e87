"""A stress test of entries that follow the Challenge's contract: altered data and surroundings, and what must hold.

Entries run in processes of their own, called as the organisers call them, and need not be of this kit.
"""
