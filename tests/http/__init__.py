"""Over HTTP, on a real loopback socket, with the use case on the memory adapters."""
