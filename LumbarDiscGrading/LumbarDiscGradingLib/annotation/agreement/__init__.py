"""How far readers agree."""
