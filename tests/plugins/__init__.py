"""Tests of the plugin system, its documentation, and the shipped plugins."""
