/** Of a report: for paper and for light and dark screens. Pictures stand on white. */
export const STYLE = `
:root { color-scheme: light dark; }
body { margin: 0; background: light-dark(#fff, #14171a); color: light-dark(#1b1f23, #e6e8ea); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1.05rem; margin: 1.25rem 0 0.25rem; }
code, pre { font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; border: 1px solid light-dark(#d5d9dd, #353b41); padding: 0.75rem; }
table { border-collapse: collapse; margin: 0.75rem 0 1.25rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.25rem; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid light-dark(#d5d9dd, #353b41); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0 1.5rem; }
figcaption { font-weight: 600; }
img { max-width: 100%; background: #fff; }
.note { color: light-dark(#4f5760, #aab2ba); max-width: 50rem; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin: 0.25rem 0; padding: 0; }
.key svg { width: 0.9rem; height: 0.7rem; margin-right: 0.35rem; }
ol.lineage > li { margin-bottom: 0.5rem; }
ol.lineage p { margin: 0; }
@media print {
  :root { color-scheme: light; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  figure, tr, h2, h3 { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
`;
