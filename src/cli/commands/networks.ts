import type { Command } from 'commander';
import { ANCHORS, anchorNamed } from '../../eval/anchors.ts';
import { arenaFloats } from '../../eval/native/compile.ts';
import { ShapedLayer } from '../../eval/native/shaped-layer.ts';
import { overridesFromFlags, PROTOCOL_FLAGS, resolveProtocol } from '../../eval/presets.ts';
import { protocolNetworks, trainingSetup } from '../../eval/protocol-networks.ts';
import { networkSize } from '../../eval/size.ts';
import { ZOO } from '../../graph/zoo.ts';
import { grouped } from '../../grouped.ts';
import { addFlags, jsonOption } from '../options.ts';
import { note, print, printJson, table } from '../output.ts';

/** What of a protocol changes the size of a network. */
const { dataset, pool, batch, groups, anchor } = PROTOCOL_FLAGS;
const FLAGS = { dataset, pool, batch, groups, anchor };

/** A step of layers with a moment over the batch holds the whole batch; the others may run it in blocks. */
const LAYER = ZOO.find(({ name }) => name === 'EvoNorm-B0')!;

/** Of AVX-512; the padding that other vectors need differs by a few bytes. */
const LANES = 16;

export const networksCommand = (program: Command) =>
  addFlags(program.command('networks'), FLAGS)
    .option('--preset <name>', 'settings to start from', 'quick')
    .addOption(jsonOption())
    .action(networks);

type Options = Readonly<Record<string, unknown>> & {
  readonly preset: string;
  readonly json?: true;
};

function networks(options: Options) {
  const rows = sizes(options);
  if (options.json) return printJson(rows);
  print(
    table(rows, [
      { head: 'anchor', value: ({ anchor }) => anchor },
      { head: 'slots', value: ({ slots }) => slots, align: 'right' },
      { head: 'parameters', value: ({ parameters }) => grouped(parameters), align: 'right' },
      { head: 'multiply-adds', value: ({ multiplyAdds }) => grouped(multiplyAdds), align: 'right' },
      { head: 'activations', value: ({ memory }) => megabytes(memory.activations), align: 'right' },
      { head: 'memory', value: ({ memory }) => megabytes(memory.total), align: 'right' },
      { head: 'what it is', value: ({ doc }) => doc, flexible: true },
    ]),
  );
  const { image, classes, batch } = rows[0]!;
  const { height, width, channels } = image;
  note(
    `With ${LAYER.name} in every slot; multiply-adds of one ${height}×${width}×${channels} image forward, memory of a step on ${batch}; ${classes} classes.`,
  );
}

/** Every anchor, unless flags choose, on the images that the protocol would have. */
function sizes(options: Options) {
  const anchors = [...ANCHORS.keys()];
  const overrides = { anchors, ...overridesFromFlags(options, FLAGS) };
  const protocol = resolveProtocol(options.preset, overrides, `native/${LANES} lanes`);
  const setup = trainingSetup(protocol);
  const layer = new ShapedLayer(LAYER.layer, setup, LANES);
  return protocolNetworks(protocol).map((network) => {
    const { name, image, classes } = network;
    const size = networkSize(network, LAYER.layer);
    const floats = arenaFloats(network, layer);
    // Weights have a gradient and a momentum each; all the rest belongs to the batch.
    const memory = { activations: 4 * (floats - 3 * size.parameters), total: 4 * floats };
    const { doc } = anchorNamed(name);
    return { anchor: name, doc, image, classes, batch: setup.batch, ...size, memory };
  });
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
