"""What tests share: databases, builders, and waiting without sleeping."""
