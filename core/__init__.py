"""The domain: values, rules, ports and the collecting use case."""
