"""The shipped plugin that recognises crawlers."""
