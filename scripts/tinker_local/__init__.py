"""A local service with Tinker's protocol: the real SDK trains and samples here without a key or a network."""
