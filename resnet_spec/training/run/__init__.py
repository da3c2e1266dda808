"""A run as facts, and what is made of them: lines, tables, pictures and a page. No torch, and no file is written here."""
