import type { OnnxModel, OnnxNode, ValueInfo } from '../../src/export/onnx-proto.ts';

/** A model as text: what it says of itself, inputs with their defaults, constants, and a line per node. */
export function printed({ docString, metadataProps = [], graph, ...model }: OnnxModel): string {
  const { name, node, initializer, input, output } = graph;
  const defaults = new Map(initializer.map((tensor) => [tensor.name, tensor]));
  const taken = new Set(input.map((info) => info.name));
  const valuesOf = (key: string) => {
    const { floatData, int64Data } = defaults.get(key) ?? {};
    return (floatData ?? int64Data)?.map((value) => Number(value.toPrecision(6))).join(' ');
  };
  return [
    `# ${Object.entries(model)
      .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
      .join(', ')}`,
    ...docString.split('\n').map((line) => `# ${line}`),
    ...metadataProps.map(({ key, value }) => `# ${key}: ${value.slice(0, 60)}`),
    `${name}(`,
    ...input.map(
      (info) =>
        `  ${infoText(info)}${taken.has(info.name) && defaults.has(info.name) ? ` = ${valuesOf(info.name)}` : ''},`,
    ),
    `) -> ${output.map(infoText).join(', ')}`,
    ...initializer
      .filter((tensor) => !taken.has(tensor.name))
      .map((tensor) => `${tensor.name}[${tensor.dims ?? ''}] = ${valuesOf(tensor.name)}`),
    ...node.map(nodeText),
  ].join('\n');
}

function infoText({ name, type }: ValueInfo): string {
  const { elemType, shape } = type.tensorType;
  const sizes = (shape.dim ?? []).map(({ dimValue, dimParam }) => dimParam ?? dimValue);
  return `${name}: type ${elemType} [${sizes.join(', ')}]`;
}

function nodeText({ output, opType, input, attribute = [], docString }: OnnxNode): string {
  const attributes = attribute.map(({ name, i, ints }) => `${name}=${JSON.stringify(ints ?? i)}`);
  const note = docString === undefined ? '' : `  # ${docString}`;
  return `${output} = ${opType}(${[...input, ...attributes].join(', ')})${note}`;
}
