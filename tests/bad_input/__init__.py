"""Bad input, byte by byte over a socket: the right code, nothing in the log, and the next good event is stored."""
