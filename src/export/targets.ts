import { dot } from './dot.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { flax } from './flax.ts';
import { json } from './json.ts';
import { keras } from './keras.ts';
import { latex } from './latex.ts';
import { ONNX_SELF_TEST, onnx } from './onnx.ts';
import { pytorch } from './pytorch.ts';
import { EVERY_OP, type Support } from './support.ts';
import { svg } from './svg.ts';
import { tfjs } from './tfjs.ts';

export type Content = string | Uint8Array;

/** How a file is run so that it tests itself: it ends with exit code 0 where it computes what it should. */
export interface SelfTest {
  readonly runtime: 'python' | 'node';
  /** Modules that must be installed; without them the test is left out. */
  readonly modules: readonly string[];
  /** What the runtime is called with; the file alone unless this says otherwise. */
  readonly args?: (file: string) => readonly string[];
  /** Tells it from other tests of the target. */
  readonly on?: string;
  /** Environment variables that the test needs. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Target {
  /** What it writes, in a few words. */
  readonly doc: string;
  /** Of its files, with the dot. */
  readonly extension: string;
  /** For the documentation, a phrase each: what the written layer takes, what it gives, what it cannot. */
  readonly takes: string;
  readonly gives: string;
  readonly limits: string;
  /** The order of axes that its framework's own layers have by default. */
  readonly layout: CodeStyle['layout'];
  /** `EVERY_OP`, with `unsupported('why')` over what is left out on purpose. */
  readonly ops: Support;
  /** Where its files test themselves: every test whose modules are there is run. */
  readonly check?: readonly SelfTest[];
  /** The file's content; binary formats are bytes. */
  readonly write: (exported: Exported, style: CodeStyle) => Content | Promise<Content>;
}

const CHANNELS_FIRST = '(N, C, H, W) or (N, C, L); with `--layout nhwc` (N, H, W, C) or (N, L, C)';
const CHANNELS_LAST = '(N, H, W, C) or (N, L, C); with `--layout nchw` (N, C, H, W) or (N, C, L)';

/** A row here is all that a target needs: commands, tests and docs/exports.md (`npm run generate`) follow. */
export const TARGETS = {
  pytorch: {
    doc: 'a PyTorch module',
    extension: '.py',
    takes: CHANNELS_FIRST,
    gives: 'an `nn.Module` with trained parameters and moving statistics as buffers',
    limits: 'batch moments are those of one process: nothing is synchronised between GPUs',
    layout: 'nchw',
    ops: EVERY_OP,
    check: [{ runtime: 'python', modules: ['torch'] }],
    write: pytorch,
  },
  flax: {
    doc: 'a Flax module (nnx)',
    extension: '.py',
    takes: CHANNELS_LAST,
    gives: 'an `nnx.Module` with parameters and moving statistics as variables',
    limits: 'batch moments are those of one device unless the step is compiled over several',
    layout: 'nhwc',
    ops: EVERY_OP,
    check: [{ runtime: 'python', modules: ['flax', 'jax'] }],
    write: flax,
  },
  keras: {
    doc: 'a Keras 3 layer, for any backend',
    extension: '.py',
    takes: CHANNELS_LAST,
    gives: 'a `keras.layers.Layer` that is saved and loaded with its model',
    limits: 'batch moments are those of one replica',
    layout: 'nhwc',
    ops: EVERY_OP,
    check: ['tensorflow', 'jax', 'torch'].map((backend) => ({
      runtime: 'python',
      modules: ['keras', backend],
      env: { KERAS_BACKEND: backend },
      on: backend,
    })),
    write: keras,
  },
  tfjs: {
    doc: 'a TensorFlow.js layer, in JavaScript with types',
    extension: '.mjs',
    takes: CHANNELS_LAST,
    gives: 'a `tf.layers.Layer` that is saved and loaded with its model, for browsers and Node',
    limits: 'single precision; imports `@tensorflow/tfjs`, change that for other packages',
    layout: 'nhwc',
    ops: EVERY_OP,
    check: [{ runtime: 'node', modules: ['@tensorflow/tfjs'] }],
    write: tfjs,
  },
  onnx: {
    doc: 'a model of the layer at inference',
    extension: '.onnx',
    takes:
      'any (N, C, H, W), with `--layout nhwc` (N, H, W, C); weights and moving statistics as inputs with defaults',
    gives: 'opset 17, IR version 8: single precision, for ONNX Runtime and Netron',
    limits: 'inference alone; runtimes outside Python, C and C++ cannot replace the defaults',
    layout: 'nchw',
    ops: EVERY_OP,
    check: [
      {
        runtime: 'python',
        modules: ['onnx', 'onnxruntime'],
        args: (file) => ['-c', ONNX_SELF_TEST, file],
      },
    ],
    write: onnx,
  },
  latex: {
    doc: 'the formula for a paper, typeset',
    extension: '.tex',
    takes: 'a display of LaTeX with amsmath, KaTeX or MathJax around it',
    gives: 'one equation, or several with `aligned` where parts are long or used again',
    limits: 'says the training mode; the guard of denominators stands in a comment',
    layout: 'nchw',
    ops: EVERY_OP,
    write: latex,
  },
  svg: {
    doc: 'the graph as a picture',
    extension: '.svg',
    takes: 'nothing: it is a picture, for light and dark pages',
    gives: 'a node per live op, shared nodes once, moments with their axes',
    limits: '200 nodes at most',
    layout: 'nchw',
    ops: EVERY_OP,
    write: (exported, style) => svg(exported, style),
  },
  dot: {
    doc: 'the graph for Graphviz',
    extension: '.dot',
    takes: 'nothing: it is a picture',
    gives: 'what `svg` draws, to lay out or edit elsewhere',
    limits: 'needs Graphviz to look at',
    layout: 'nchw',
    ops: EVERY_OP,
    write: (exported, style) => dot(exported, style),
  },
  json: {
    doc: 'the layer as data, with its scores',
    extension: '.json',
    takes: 'nothing: it is data',
    gives:
      'the genome and what was measured; a LAYER of every command, checked by `evolayer import`',
    limits: 'holds no trained weights',
    layout: 'nchw',
    ops: EVERY_OP,
    write: json,
  },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;
