"""What a run tells: metrics, tables, curves, pictures, and the HTML page. No torch, and no file is written here."""
