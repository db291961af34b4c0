import { captionOf } from './caption.ts';
import { dot } from './dot.ts';
import type { CodeStyle, Exported } from './exported.ts';

/** The picture of `dot`, laid out by Graphviz. The same layer gives the same bytes. */
export async function svg(exported: Exported, style: CodeStyle): Promise<string> {
  // Half a megabyte of WebAssembly, for this target alone.
  const { instance } = await import('@viz-js/viz');
  const picture = (await instance()).renderString(dot(exported, style), { format: 'svg_inline' });
  const caption = captionOf(exported).map((line) => line.replaceAll(/-(?=-|$)/g, '- '));
  const root = `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${style.className}"`;
  return picture
    .replaceAll(/<!--[\s\S]*?-->\s*/g, '')
    .replace('<svg', () => `<!--\n${caption.join('\n')}\n-->\n${root}`);
}
