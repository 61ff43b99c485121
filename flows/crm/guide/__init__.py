"""Help towards a dialect: the one that fits, candidates for the id, a skeleton to start from."""
