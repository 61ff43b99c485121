"""A folder that a user owns, with a `dealcast.toml`, made by `dealcast init`, read by every command, deployed by `dealcast deploy`."""
