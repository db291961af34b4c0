/** A drawing of Vega's marks (vega.github.io) as SVG on white; the same for the same marks, to the last byte. */
export async function svgOf(
  size: { readonly width: number; readonly height: number },
  marks: readonly object[],
): Promise<string> {
  // Loaded here, since it takes longer than most commands do, and few need it.
  const vega = await import('vega');
  const spec = { ...size, padding: 0, background: 'white', autosize: 'none', marks };
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
