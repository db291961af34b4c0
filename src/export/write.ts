import type { CodeStyle, Exported } from './exported.ts';
import { refuseGaps } from './support.ts';
import { type Content, TARGETS, type Target, type TargetName } from './targets.ts';

export const TARGET_NAMES = Object.keys(TARGETS) as TargetName[];

/** `layout` is that of the target's framework where it is left out. */
export type Style = Pick<CodeStyle, 'className'> & Partial<CodeStyle>;

/** What the target writes; a UserError where it leaves out an op of the layer. */
export function contentOf(
  name: TargetName,
  exported: Exported,
  style: Style,
): Content | Promise<Content> {
  const target: Target = TARGETS[name];
  refuseGaps(name, target.ops, exported.layer);
  return target.write(exported, { layout: target.layout, ...style });
}

/** Of targets with the same extension, each has its name in that of its file. */
export function fileNameOf(name: TargetName, className: string): string {
  const { extension } = TARGETS[name];
  const alone = TARGET_NAMES.every((n) => n === name || TARGETS[n].extension !== extension);
  return `${className}${alone ? '' : `_${name}`}${extension}`;
}
