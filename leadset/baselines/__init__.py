"""Classical models on features of a recording, as members of entries: what they look at, and how they answer."""
