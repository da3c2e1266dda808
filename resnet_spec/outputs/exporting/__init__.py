"""Writes networks to files that other programs run. `formats` lists them; each is a module with a function `write`."""
