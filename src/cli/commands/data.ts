import { type Command, Option } from 'commander';
import { UserError } from '../../errors.ts';
import { dataFolder } from '../../eval/data-folder.ts';
import { DATASETS, type DatasetSource, datasetSource } from '../../eval/data-sources.ts';
import { bytes } from '../../format.ts';
import { grouped } from '../../grouped.ts';
import { type DownloadDisplay, downloadDisplay } from '../data/display.ts';
import { fetchDataset } from '../data/fetch.ts';
import { checkSource, type DataStanding, standingOf, whereabouts } from '../data/standing.ts';
import { INTERRUPTED, interruptibly } from '../interrupt.ts';
import { jsonOption } from '../options.ts';
import { note, print, printJson, table } from '../output.ts';

export const dataCommand = (program: Command) => {
  const data = program.command('data').addHelpText('after', () => {
    return `\nFetched data sets are kept in ${dataFolder()}; $EVOLAYER_DATA names another folder.`;
  });
  data
    .command('list')
    .description('List the data sets: what they hold, and where they are or how to get them.')
    .addOption(jsonOption())
    .action(list);
  data
    .command('fetch')
    .description('Download data sets; what was interrupted goes on.')
    .argument('<dataset...>', 'names of data sets')
    .addOption(mirrorOption())
    .action(fetchAll);
  data
    .command('check')
    .description('Read data sets against their checksums; by default all that are here.')
    .argument('[dataset...]', 'names of data sets, or .npz files')
    .addOption(jsonOption())
    .action(check);
  return data;
};

const mirrorOption = (): Option =>
  new Option(
    '--mirror <url>',
    'folder of the net that has the files as URL/DATASET/FILE, asked first; repeatable',
  )
    .env('EVOLAYER_MIRROR')
    .argParser((text: string, before: readonly string[] = []) => [
      ...before,
      ...text.split(/[\s,]+/).filter((url) => url !== '' && checkMirror(url)),
    ]);

function checkMirror(text: string): true {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return true;
  throw new UserError(
    `--mirror is ${JSON.stringify(text)}; it must be an address that begins with http:// or https://.`,
  );
}

function list({ json }: { readonly json?: true }) {
  const rows = [...DATASETS.values()].map(standingOf);
  if (json) return printJson(rows);
  print(
    table(rows, [
      { head: 'name', value: ({ name }) => name },
      { head: 'images', value: ({ images }) => grouped(images.train), align: 'right' },
      { head: 'to validate', value: ({ images }) => grouped(images.validation), align: 'right' },
      { head: 'to test', value: ({ images }) => grouped(images.test), align: 'right' },
      { head: 'classes', value: ({ classes }) => classes, align: 'right' },
      { head: 'shape', value: shapeOf },
      { head: 'size', value: ({ bytes: size }) => (size > 0 ? bytes(size) : ''), align: 'right' },
      { head: 'where', value: whereabouts },
      { head: 'what it is', value: ({ doc }) => doc, flexible: true },
    ]),
  );
}

const shapeOf = ({ image: { height, width, channels } }: DataStanding): string =>
  `${height}×${width}×${channels}`;

async function fetchAll(names: readonly string[], { mirror = [] }: { readonly mirror?: string[] }) {
  const sources = [...new Set(names)].map(fetchable);
  const done = await interruptibly(async (signal) => {
    let display: DownloadDisplay | null = null;
    const say = (text: string) => (display ?? { say: note }).say(text);
    for (const source of sources) {
      try {
        const onFile = (file: Parameters<typeof downloadDisplay>[0]) => {
          display = downloadDisplay(file);
          return display;
        };
        const path = await fetchDataset(source, { mirrors: mirror, signal, say, onFile });
        print(`${source.name} is in ${path}`);
      } catch (error) {
        if (!signal.aborted) throw error;
        return false;
      }
    }
    return true;
  }, note);
  if (done) return;
  process.exitCode = INTERRUPTED;
  note('Interrupted; what came is kept, and the same command goes on.');
}

function fetchable(name: string): DatasetSource {
  const source = DATASETS.get(name);
  if (source) return source;
  const known = datasetSource(name);
  throw new UserError(`${known.name} is a file, and nothing is to be fetched.`);
}

function check(names: readonly string[], { json }: { readonly json?: true }) {
  const sources =
    names.length > 0
      ? [...new Set(names)].map(datasetSource)
      : [...DATASETS.values()].filter(
          ({ name }) => standingOf(datasetSource(name)).state !== 'absent',
        );
  const findings = sources.map(checkSource);
  if (json) printJson(findings);
  else
    for (const { name, path, sound, message } of findings)
      print(sound ? `${name} is sound: ${path}` : `${name} is not sound: ${message}`);
  if (findings.some(({ sound }) => !sound)) process.exitCode = 1;
}
