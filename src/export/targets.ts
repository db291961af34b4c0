import type { CodeStyle, Exported } from './exported.ts';
import { json } from './json.ts';
import { pytorch } from './pytorch.ts';

export interface Target {
  readonly doc: string;
  /** Of its files, with the dot. */
  readonly extension: string;
  readonly source: (exported: Exported, style: CodeStyle) => string;
}

export const TARGETS = {
  pytorch: { doc: 'a PyTorch module', extension: '.py', source: pytorch },
  json: { doc: 'the layer as data, with its scores', extension: '.json', source: json },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;
