/*
 * The messages of an ONNX model as far as we write them, with the field numbers of onnx.proto
 * (https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto), whose names are in snake case.
 */

/** https://onnx.ai/onnx/repo-docs/Versioning.html: these two came with ONNX 1.12, and every runtime since reads them. */
export const IR_VERSION = 8;
export const OPSET = 17;

/** TensorProto.DataType. */
export const FLOAT = 1;
export const INT32 = 6;
export const INT64 = 7;

/** AttributeProto.AttributeType. */
const INT = 2;
const INTS = 7;

export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly i?: number;
  readonly ints?: readonly number[];
}

export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly Attribute[];
  readonly docString?: string;
}

export interface Tensor {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly floatData?: readonly number[];
  readonly int64Data?: readonly number[];
}

interface Dimension {
  readonly dimValue?: number;
  readonly dimParam?: string;
}

export interface ValueInfo {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly Dimension[] };
    };
  };
  readonly docString?: string;
}

export interface Property {
  readonly key: string;
  readonly value: string;
}

export interface OnnxModel {
  readonly irVersion: number;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly producerName: string;
  readonly producerVersion: string;
  readonly docString: string;
  readonly graph: {
    readonly name: string;
    readonly node: readonly OnnxNode[];
    readonly initializer: readonly Tensor[];
    readonly input: readonly ValueInfo[];
    readonly output: readonly ValueInfo[];
  };
  readonly metadataProps: readonly Property[];
}

/** An attribute of one whole number or of several. */
export const attributeOf = (name: string, value: number | readonly number[]): Attribute =>
  typeof value === 'number'
    ? { name, type: INT, i: value }
    : { name, type: INTS, ints: [...value] };

/** Sizes are numbers, or names of sizes that are known at run time. */
export const infoOf = (
  name: string,
  elemType: number,
  sizes: readonly (number | string)[],
  docString?: string,
): ValueInfo => {
  const dim = sizes.map((size) =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  );
  const type = { tensorType: { elemType, shape: { dim } } };
  return docString === undefined ? { name, type } : { name, type, docString };
};

const optional = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const packed = (type: string, id: number) => ({ ...repeated(type, id), options: { packed: true } });

const MESSAGES = {
  ModelProto: {
    irVersion: optional('int64', 1),
    producerName: optional('string', 2),
    producerVersion: optional('string', 3),
    docString: optional('string', 6),
    graph: optional('GraphProto', 7),
    opsetImport: repeated('OperatorSetIdProto', 8),
    metadataProps: repeated('StringStringEntryProto', 14),
  },
  OperatorSetIdProto: { domain: optional('string', 1), version: optional('int64', 2) },
  StringStringEntryProto: { key: optional('string', 1), value: optional('string', 2) },
  GraphProto: {
    node: repeated('NodeProto', 1),
    name: optional('string', 2),
    initializer: repeated('TensorProto', 5),
    input: repeated('ValueInfoProto', 11),
    output: repeated('ValueInfoProto', 12),
  },
  NodeProto: {
    input: repeated('string', 1),
    output: repeated('string', 2),
    name: optional('string', 3),
    opType: optional('string', 4),
    attribute: repeated('AttributeProto', 5),
    docString: optional('string', 6),
  },
  AttributeProto: {
    name: optional('string', 1),
    i: optional('int64', 3),
    ints: repeated('int64', 8),
    type: optional('int32', 20),
  },
  TensorProto: {
    dims: repeated('int64', 1),
    dataType: optional('int32', 2),
    floatData: packed('float', 4),
    int64Data: packed('int64', 7),
    name: optional('string', 8),
  },
  ValueInfoProto: {
    name: optional('string', 1),
    type: optional('TypeProto', 2),
    docString: optional('string', 3),
  },
  TypeProto: { tensorType: optional('TensorTypeProto', 1) },
  TensorTypeProto: { elemType: optional('int32', 1), shape: optional('TensorShapeProto', 2) },
  TensorShapeProto: { dim: repeated('DimensionProto', 1) },
  DimensionProto: { dimValue: optional('int64', 1), dimParam: optional('string', 2) },
};

type ModelType = ReturnType<typeof readModelType>;
let made: ModelType | null = null;

/** Made once: the code that reads and writes messages takes longer to make than to run. */
function modelType(): ModelType {
  made ??= readModelType();
  return made;
}

async function readModelType() {
  const { default: protobuf } = await import('protobufjs/light.js');
  const nested = Object.fromEntries(
    Object.entries(MESSAGES).map(([name, fields]) => [name, { fields }]),
  );
  return protobuf.Root.fromJSON({ nested }).lookupType('ModelProto');
}

export async function encodeModel(model: OnnxModel): Promise<Uint8Array> {
  const type = await modelType();
  return type.encode(type.fromObject(model)).finish();
}

/** What `encodeModel` wrote. Fields that were not written are left out, and lists that were empty. */
export async function decodeModel(bytes: Uint8Array): Promise<OnnxModel> {
  const type = await modelType();
  return type.toObject(type.decode(bytes), { longs: Number }) as OnnxModel;
}
