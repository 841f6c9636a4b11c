"""Metering: usage by project and month, and the audit that compares it with the stored rows."""
