"""Facts that only the whole export can tell: each is proven, said by the user, or asked about."""
