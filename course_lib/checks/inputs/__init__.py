"""Builders of the inputs on which exercises are checked, one module a unit; no answers."""
