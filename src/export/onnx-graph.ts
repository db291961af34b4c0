import { attributeOf, FLOAT, INT64, type OnnxNode, type Tensor } from './onnx-proto.ts';

export type Attributes = Readonly<Record<string, number | readonly number[]>>;

/** Nodes and constants of a model, as they are asked for. Values go by the names of the nodes that make them. */
export class OnnxGraph {
  readonly nodes: OnnxNode[] = [];
  readonly constants: Tensor[] = [];
  readonly #made = new Map<string, string>();

  /** The value of a node of these inputs; `name` is what a new one is called, where there is none yet. */
  node(
    opType: string,
    input: readonly string[],
    name: string,
    { doc, attributes = {} }: { readonly doc?: string; readonly attributes?: Attributes } = {},
  ): string {
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    return this.#once(JSON.stringify([opType, input, attribute]), name, () => {
      const node = { name, opType, input: [...input], output: [name], attribute };
      this.nodes.push(doc === undefined ? node : { ...node, docString: doc });
    });
  }

  /** A constant of single precision, of the given sizes; without them it is a scalar. */
  number(value: number, name: string, dims: readonly number[] = []): string {
    const tensor = { name, dataType: FLOAT, dims, floatData: [value] };
    return this.#once(`number ${name}`, name, () => this.constants.push(tensor));
  }

  /** A constant whole number, or a list of them. */
  whole(values: number | readonly number[], name: string): string {
    const int64Data = typeof values === 'number' ? [values] : [...values];
    const dims = typeof values === 'number' ? [] : [int64Data.length];
    const tensor = { name, dataType: INT64, dims, int64Data };
    return this.#once(`whole ${name}`, name, () => this.constants.push(tensor));
  }

  #once(key: string, name: string, make: () => void): string {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    make();
    this.#made.set(key, name);
    return name;
  }
}
