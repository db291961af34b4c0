import { UserError } from '../errors.ts';
import { captionOf } from './caption.ts';
import { dot } from './dot.ts';
import type { CodeStyle, Exported } from './exported.ts';

/** Takes seconds to lay out; more would be no picture to look at. */
const MAX_NODES = 200;

/** The picture of `dot`, laid out by Graphviz. The same layer gives the same bytes. */
export async function svg(
  exported: Exported,
  style: CodeStyle,
  marked?: ReadonlySet<number>,
): Promise<string> {
  const { length } = exported.layer.nodes;
  if (length > MAX_NODES)
    throw new UserError(
      `An svg has at most ${MAX_NODES} nodes, and this layer ${length}; dot leaves the layout to you.`,
      1,
    );
  // A megabyte of WebAssembly, for this target alone.
  const { instance } = await import('@viz-js/viz');
  const picture = (await instance()).renderString(dot(exported, style, marked), {
    format: 'svg_inline',
  });
  const caption = captionOf(exported).map((line) => line.replaceAll(/-(?=-|$)/g, '- '));
  const root = `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${style.className}"`;
  return picture
    .replaceAll(/<!--[\s\S]*?-->\s*/g, '')
    .replace('<svg', () => `<!--\n${caption.join('\n')}\n-->\n${root}`);
}
