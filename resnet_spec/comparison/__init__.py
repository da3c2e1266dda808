"""What differs between two networks, and which part of one is which of the other. Nothing here needs torch.

`align` pairs the parts of two graphs, `settings` compares two specs, `parts` says what differs between paired graphs,
`difference` combines them, and `render` writes the result as text, Markdown or JSON.
"""
