"""Worlds with a name, each a frozen choice that numbers can be reported on."""
