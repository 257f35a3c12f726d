"""Vocabulary and files: types, random streams, artefacts, layout, specs, plug-ins by name. Imports no other folder."""
