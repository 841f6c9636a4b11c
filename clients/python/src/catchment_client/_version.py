"""The version, where the build and the `User-Agent` header both read it."""

VERSION = "0.1.0"
