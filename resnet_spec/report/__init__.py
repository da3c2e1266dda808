"""The report of a run: metrics, tables, curves, pictures and the HTML page. No torch."""
