/** The page's style sheet: light and dark, one column on a phone. */
export const style = `
:root { color-scheme: light dark; --back: #fff; --panel: #f6f7f9; --ink: #1b1f24; --soft: #5d6672; --line: #dde1e6; --a: #2563eb; --b: #c2570c; --bad: #c81e3a; --good: #1a7f4b;
  --refused: #d97706; --failed: #c81e3a; --cut: #7c3aed; --timed-out: #0e7490; --abandoned: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --panel: #1c2026; --ink: #e6e9ee; --soft: #9aa4b1; --line: #323942; --a: #6ea8fe; --b: #f59e5b; --bad: #ff7a8a; --good: #5fd39a;
  --refused: #fbbf24; --failed: #ff7a8a; --cut: #b79bff; --timed-out: #4cc9e0; --abandoned: #9aa4b1; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 20px 16px 48px; max-width: 1320px; background: var(--back); color: var(--ink); font: 15px/1.45 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { margin: 0; font-size: 22px; } h2 { margin: 32px 0 10px; font-size: 17px; } h2 span, figcaption span, small { color: var(--soft); font-weight: normal; }
p { margin: 4px 0; color: var(--soft); } h1, h2, p, dd, .errors td { overflow-wrap: anywhere; }
.letter { display: inline-block; width: 1.5em; border-radius: 4px; color: var(--back); text-align: center; } .letter.a { background: var(--a); } .letter.b { background: var(--b); }
.notice { margin: 8px 0; padding: 8px 12px; border-left: 3px solid var(--refused); background: var(--panel); color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 8px; }
.tiles div { display: flex; flex-direction: column; padding: 10px 12px; border-radius: 8px; background: var(--panel); }
.tiles b { font-size: 19px; font-variant-numeric: tabular-nums; white-space: nowrap; } .tiles span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 390px), 1fr)); gap: 14px; }
figure { display: flex; flex-direction: column; margin: 0; padding: 10px 8px 4px; border-radius: 8px; background: var(--panel); } figure > svg { display: block; width: 100%; margin-top: auto; }
figcaption { display: flex; flex-wrap: wrap; gap: 2px 8px; align-items: baseline; padding: 0 6px 4px; font-size: 14px; } .legend { display: flex; flex-wrap: wrap; gap: 0 12px; margin-left: auto; }
.legend span { white-space: nowrap; } .key { width: 16px; height: 8px; margin-right: 4px; }
svg path { fill: none; stroke-width: 1.6; stroke-linejoin: round; } path.line { stroke-linecap: round; } .grid path { stroke: var(--line); stroke-width: 1; } svg text { fill: var(--soft); font-size: 12px; } text.y { text-anchor: end; } text.x { text-anchor: middle; } text.x.last { text-anchor: end; }
path.s0 { stroke: var(--a); } path.s1 { stroke: var(--b); } path.strong { stroke-width: 2; } path.dashed { stroke-dasharray: 5 3; } path.due { stroke: var(--soft); stroke-dasharray: 2 3; }
path.dots { stroke-width: 3; stroke-linecap: round; opacity: .28; } path.dots.solid { stroke-width: 5; opacity: 1; }
path.limit { stroke: var(--bad); stroke-dasharray: 6 4; stroke-width: 1.2; } text.limit-label { fill: var(--bad); text-anchor: end; paint-order: stroke; stroke: var(--panel); stroke-width: 4; }
path.bars { stroke: none; } path.swatch { stroke-width: 8; }
${['refused', 'failed', 'cut', 'timed-out', 'abandoned'].map((kind) => `path.bars.${kind} { fill: var(--${kind}); } path.swatch.${kind} { stroke: var(--${kind}); }`).join('\n')}
.wide { overflow-x: auto; margin: 10px 0; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; } .errors td:nth-child(2) { min-width: 14em; white-space: normal; }
thead th { color: var(--soft); font-weight: normal; } th:first-child { text-align: left; white-space: nowrap; } tbody th { font-weight: 500; } .errors td:nth-child(2), .errors th:nth-child(2), .comparison td:last-child, .comparison th:last-child { text-align: left; }
tr.a td:last-child { color: var(--a); } tr.b td:last-child { color: var(--b); }
.interval { display: block; width: 160px; height: 16px; } .interval .one { stroke: var(--soft); stroke-dasharray: 2 2; stroke-width: 1; } .interval .range { stroke: var(--soft); stroke-width: 3; } .interval .value { stroke: var(--ink); stroke-width: 8; stroke-linecap: round; }
.interval.a .range, .interval.a .value { stroke: var(--a); } .interval.b .range, .interval.b .value { stroke: var(--b); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; } dt { color: var(--soft); } dd { margin: 0; }
@media (max-width: 560px) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }
@media print { body { max-width: none; } figure, .tiles div { break-inside: avoid; } }
`;
