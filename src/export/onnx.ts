import { packageVersion } from '../eval/package-root.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { captionOf, isLong, omission, printable } from './caption.ts';
import type { CodeStyle, Exported } from './exported.ts';
import { golden, goldenLines, type NamedVector, namedVectors } from './golden.ts';
import { OnnxBody } from './onnx-body.ts';
import {
  encodeModel,
  FLOAT,
  INT64,
  IR_VERSION,
  infoOf,
  OPSET,
  type Property,
  type Tensor,
} from './onnx-proto.ts';

/** Values of weights and moving statistics by their names: one entry per channel, or one for all. */
export type OnnxWeights = Readonly<Record<string, ArrayLike<number>>>;

/** The layer at inference as an ONNX model, with the vectors that it can be tested on. */
export function onnx(exported: Exported, style: CodeStyle): Promise<Uint8Array> {
  const lines = goldenLines(testVectors(exported, style.layout), 100);
  const test = { key: 'self_test', value: lines.join('\n') };
  return onnxModel(exported, style, {}, [test]);
}

/**
 * The layer at inference as an ONNX model. Weights and moving statistics are inputs with defaults, which
 * are `weights` or what they start from; `properties` are added to those that say what the layer is.
 */
export function onnxModel(
  exported: Exported,
  { className, layout }: CodeStyle,
  weights: OnnxWeights = {},
  properties: readonly Property[] = [],
): Promise<Uint8Array> {
  const body = new OnnxBody(exported.layer, layout);
  const images = [...layout.toUpperCase()];
  const variables = variablesOf(body, exported.layer);
  const groups = body.grouped ? [exported.groups] : [];
  return encodeModel({
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'evolayer',
    producerVersion: packageVersion(),
    docString: captionOf(exported).join('\n'),
    graph: {
      name: className,
      node: body.graph.nodes,
      initializer: [
        ...variables.map((variable) => tensorOf(variable, weights[variable.name])),
        ...groups.map((count) => ({ ...GROUPS, int64Data: [count] })),
        ...body.graph.constants,
      ],
      input: [
        infoOf('x', FLOAT, images),
        ...variables.map(({ name, sizes, doc }) => infoOf(name, FLOAT, sizes, doc)),
        ...groups.map(() => infoOf(GROUPS.name, INT64, [], 'The most groups of channels.')),
      ],
      output: [infoOf('y', FLOAT, images)],
    },
    metadataProps: [...propertiesOf(exported), ...properties],
  });
}

const GROUPS = { name: 'groups', dataType: INT64, dims: [] };

/** An input with a default. */
interface Variable {
  readonly name: string;
  readonly sizes: readonly (number | string)[];
  readonly initial: number;
  readonly doc: string;
}

const INNER = { v0: 0, v1: 1 } as const;

function variablesOf({ moving }: OnnxBody, { nodes }: LayerGraph): Variable[] {
  const perChannel = (name: string, initial: number, doc: string) => ({
    ...{ name, initial, doc: `${doc}: one entry per channel, or one for all.` },
    sizes: [`${name}_size`],
  });
  const inner = liveOf(nodes).map((name) => perChannel(name, INNER[name], 'A trained weight'));
  const statistics = moving.map(({ name, statistic, perChannel: isWide, initial }) => {
    const doc = `The moving ${statistic.replace('_', ' ')} of training batches`;
    return isWide ? perChannel(name, initial, doc) : { name, initial, doc: `${doc}.`, sizes: [1] };
  });
  return [
    ...inner,
    perChannel('gamma', 1, 'What the output is scaled by'),
    perChannel('beta', 0, 'What is added to the output'),
    ...statistics,
  ];
}

const liveOf = (nodes: LayerGraph['nodes']) =>
  (['v0', 'v1'] as const).filter((name) => nodes.some(({ op }) => op === name));

function tensorOf({ name, initial }: Variable, value: ArrayLike<number> = [initial]): Tensor {
  return { name, dataType: FLOAT, dims: [value.length], floatData: Array.from(value) };
}

/** What the layer is, as plain text. */
function propertiesOf({ formula, id, zooName, found, scores }: Exported): Property[] {
  const properties = {
    formula: isLong(formula) ? omission(formula) : formula,
    id,
    ...(zooName === null ? {} : { name: zooName }),
    ...(found === null ? {} : { found }),
    ...(scores
      ? {
          protocol: scores.protocol,
          accuracy: String(scores.mean),
          accuracies: JSON.stringify(scores.perAnchor),
          evaluations: String(scores.evaluations),
        }
      : {}),
  };
  return Object.entries(properties).map(([key, value]) => ({ key, value: printable(value) }));
}

/** An input, the weights and moving statistics, and what the layer makes of them at inference. */
function testVectors({ layer, movingDecay }: Exported, layout: CodeStyle['layout']): NamedVector[] {
  const { grouped, moving } = new OnnxBody(layer, layout);
  const found = golden(layer, movingDecay);
  const { batch, height, width, channels } = found.shape;
  const sizes = layout === 'nchw' ? [channels, height, width] : [height, width, channels];
  const live = [...liveOf(layer.nodes), 'gamma', 'beta'] as const;
  const names = moving.map(({ name }) => name);
  const used = new Set<string>([...live, ...names, 'inference.x', 'inference.y']);
  return [
    { name: 'shape', values: Float64Array.of(batch, ...sizes) },
    ...(grouped ? [{ name: 'groups', values: Float64Array.of(found.groups) }] : []),
    ...namedVectors(found, live, names, layout).filter(({ name }) => used.has(name)),
  ];
}

/** A Python program that tests the model it is called with, on the vectors that the model carries. */
export const ONNX_SELF_TEST = `\
import sys

import numpy as np
import onnx
import onnxruntime

path = sys.argv[1]
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
print(f"IR version {model.ir_version}, opset {model.opset_import[0].version}: checked")
properties = {entry.key: entry.value for entry in model.metadata_props}
vectors = {}
for vector in properties["self_test"].split(";"):
    name, *values = vector.split() or [""]
    vectors[name] = np.array(values, np.float32)
names = [value.name for value in model.graph.input]
feeds = {name: vectors[name] for name in names if name not in ("x", "groups")}
feeds["x"] = vectors["inference.x"].reshape(vectors["shape"].astype(int))
if "groups" in names:
    feeds["groups"] = np.array(vectors["groups"][0], np.int64)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
expected = vectors["inference.y"].reshape(feeds["x"].shape)
session.run(["y"], {"x": feeds["x"]})
(y,) = session.run(["y"], feeds)
if y.shape != expected.shape:
    raise SystemExit(f"y has the shape {y.shape}, not {expected.shape}")
scale = max(1.0, np.abs(expected).max())
difference = np.abs(y - expected).max() / scale
print(f"inference.y: {expected.size} values, off by {difference:.1e} at most")
if not difference < 1e-4:
    raise SystemExit(f"inference.y is {y}, not {expected}")
`;
