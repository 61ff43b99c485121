"""What helps a user to a dialect: which one fits, what could be the id, a skeleton to start from."""
