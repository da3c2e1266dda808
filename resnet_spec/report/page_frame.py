"""The fixed part of a run's page: its style, for light and dark themes, screen and print, and the HTML around its content."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --paper: #ffffff; --soft: #f6f8fa;
  --blue: #0072b2; --loud: #fff1d6; --loud-line: #d98500; --right: #0b5c95; --wrong: #b8370a; --gap: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --paper: #0d1117;
  --soft: #161b22; --blue: #56b4e9; --loud: #3a2a0b; --loud-line: #f0b429; --right: #1f6aa5; --wrong: #b4531a;
  --gap: #f58b45; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
header p { margin: .25rem 0 0; color: var(--faint); overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .6rem; }
.loud { margin: 1.25rem 0 0; padding: .8rem 1rem; background: var(--loud); border-left: 5px solid var(--loud-line); }
.hint { color: var(--faint); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; margin-bottom: 1.2rem; }
.cards div { background: var(--soft); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.cards b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.cards span, .cards small { display: block; } .cards small { color: var(--faint); }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
img.paper { background: #ffffff; border-radius: 6px; padding: .5rem; }
.wide { overflow-x: auto; margin-bottom: 1.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); unicode-bidi: isolate; }
th:first-child, td:first-child { text-align: left; }
thead th { font-weight: 600; vertical-align: bottom; position: sticky; top: 0; background: var(--soft); }
tbody tr:hover { background: var(--soft); }
.pairs { margin-bottom: 1rem; } .pairs th { font-weight: 400; color: var(--faint); white-space: nowrap; vertical-align: top; }
.pairs td { text-align: left; overflow-wrap: anywhere; }
.scroll td, .names th { white-space: nowrap; } .names :is(th, td):nth-child(2) { text-align: left; }
.scroll { overflow: auto; width: fit-content; max-width: 100%; margin-bottom: 1rem; } .tall { max-height: 30rem; }
.bar { display: inline-block; width: 6rem; height: .6rem; margin-right: .6rem; background: var(--line); border-radius: 3px; }
.share { display: inline-block; min-width: 3.4rem; }
.bar i { display: block; height: 100%; background: var(--blue); border-radius: 3px; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
pre { overflow: auto; max-height: 36rem; margin: .5rem 0 1rem; padding: .8rem 1rem; background: var(--soft);
  border: 1px solid var(--line); border-radius: 6px;
  font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
a { color: var(--blue); }
code { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem; margin: .75rem 0 1.2rem; }
figure { margin: 0; background: var(--soft); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.frame { height: 9rem; display: grid; place-items: center; background: color-mix(in srgb, var(--line) 45%, transparent); }
.frame img { width: 100%; height: 9rem; object-fit: contain; } .frame .none { color: var(--faint); font-size: .85rem; }
.frame img.small { image-rendering: pixelated; }
figcaption { padding: .45rem .6rem .55rem; font-size: .84rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
figcaption > span { display: flex; gap: .35rem; } figcaption b { flex: 1; font-weight: 600; overflow-wrap: anywhere;
  unicode-bidi: isolate; } figcaption :is(i, em) { font-style: normal; } figcaption .predicted i { color: var(--gap); }
figcaption .true { color: var(--faint); } figcaption .true b { font-weight: 400; } figcaption .true i { color: var(--blue); }
figcaption small { display: block; margin-top: .2rem; color: var(--faint); overflow-wrap: anywhere; unicode-bidi: isolate; }
.matrix td { padding: 0; min-width: 2.6rem; text-align: center; border: 1px solid var(--paper); }
.matrix td a, .matrix td.zero { display: block; padding: .35rem .4rem; color: inherit;
  text-decoration: underline dotted 1px; text-underline-offset: 3px; }
.matrix td.zero { display: table-cell; color: var(--line); }
.matrix td a:is(:hover, :focus-visible) { outline: 2px solid var(--ink); outline-offset: -2px; }
.matrix .right { background: color-mix(in srgb, var(--right) var(--v), transparent); }
.matrix .wrong { background: color-mix(in srgb, var(--wrong) var(--v), transparent); } .matrix .deep { color: #ffffff; }
.matrix tbody tr:hover { background: none; } .matrix thead th { padding: .3rem .2rem; text-align: center; }
.matrix .up { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; overflow: hidden;
  text-align: left; }
.matrix th[scope=row], .matrix .corner { position: sticky; left: 0; background: var(--paper); font-weight: 400; z-index: 1;
  text-align: right; max-width: 14rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.matrix .corner { color: var(--faint); background: var(--soft); z-index: 2; }
.panel { display: none; scroll-margin-top: 1rem; margin: 0 0 1.2rem; padding: .2rem 1rem .4rem; border: 1px solid var(--line);
  border-radius: 8px; } .panel:target { display: block; } .panel h3 { margin: .8rem 0 .4rem; overflow-wrap: anywhere; }
.close { float: right; margin: .75rem 0 0 1rem; }
.reliability { display: block; width: 100%; max-width: 24rem; height: auto; font: 11px system-ui, sans-serif; }
.reliability text { fill: var(--faint); } .reliability .rule { stroke: var(--line); }
.reliability .ideal { stroke: var(--ink); stroke-dasharray: 4 4; } .reliability .hit { fill: var(--blue); }
.reliability .gap { fill: color-mix(in srgb, var(--gap) 40%, var(--paper)); } .reliability .count { fill: var(--faint); }
.key { margin: .2rem 0 .8rem; color: var(--faint); font-size: .84rem; }
.key i { display: inline-block; width: .9rem; height: .6rem; margin: 0 .35rem 0 .8rem; } .key i:first-child { margin-left: 0; }
.key .hit { background: var(--blue); } .key .gap { background: color-mix(in srgb, var(--gap) 40%, var(--paper)); }
.key .ideal { height: 0; border-top: 2px dashed var(--ink); vertical-align: middle; }
@media (max-width: 32rem) { body { padding: 1rem .75rem 3rem; } .grid { grid-template-columns: repeat(2, 1fr); gap: .5rem; }
  .bar { display: block; width: auto; margin: 0 0 .15rem; } table { font-size: 14px; }
  th, td { padding: .3rem .2rem; } .share { min-width: 0; } .wide img { min-width: 40rem; }
  .names th, .scroll td:first-child, .matrix .corner { white-space: normal; } .scroll td:first-child { min-width: 4.5rem; }
  .matrix th[scope=row], .matrix .corner { max-width: 7rem; } }
summary { cursor: pointer; color: var(--faint); } details { margin: .6rem 0; }
@media print { .tall, pre { max-height: none; } thead th { position: static; } section { break-inside: avoid-page; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src {images}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
