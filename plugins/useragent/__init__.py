"""The shipped plugin that parses the user agent."""
