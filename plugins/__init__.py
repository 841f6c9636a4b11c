"""The plugin system and the plugins that are shipped with the server."""
