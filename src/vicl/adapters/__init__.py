"""Other people's models behind vicl's protocols: one file each, imported when one is used."""
