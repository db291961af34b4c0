import type { CodeStyle, Exported } from './exported.ts';
import { flax } from './flax.ts';
import { json } from './json.ts';
import { keras } from './keras.ts';
import { pytorch } from './pytorch.ts';

export type Content = string | Uint8Array;

export interface Target {
  readonly doc: string;
  /** Of its files, with the dot. */
  readonly extension: string;
  /** The file's content; binary formats are bytes. */
  readonly write: (exported: Exported, style: CodeStyle) => Content | Promise<Content>;
}

export const TARGETS = {
  pytorch: { doc: 'a PyTorch module', extension: '.py', write: pytorch },
  flax: { doc: 'a Flax module (nnx)', extension: '.py', write: flax },
  keras: { doc: 'a Keras 3 layer, for any backend', extension: '.py', write: keras },
  json: { doc: 'the layer as data, with its scores', extension: '.json', write: json },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;
