/* `npm run bench`: measures, prints tables, and writes the samples. See README.md. */
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { UserError } from '../src/errors.ts';
import { nativeEngine } from '../src/eval/native/engine.ts';
import { chooseVariant } from '../src/eval/native/machine.ts';
import { Bench, type Group } from './context.ts';
import { cache } from './groups/cache.ts';
import { calls } from './groups/calls.ts';
import { candidate } from './groups/candidate.ts';
import { commands } from './groups/commands.ts';
import { compile } from './groups/compile.ts';
import { conv } from './groups/conv.ts';
import { coordinator } from './groups/coordinator.ts';
import { dashboard } from './groups/dashboard.ts';
import { keys } from './groups/keys.ts';
import { layer } from './groups/layer.ts';
import { records } from './groups/records.ts';
import { search } from './groups/search.ts';
import { step } from './groups/step.ts';
import { workers } from './groups/workers.ts';
import { describeMachine } from './machine.ts';
import { type Result, Results } from './results.ts';

const GROUPS: readonly Group[] = [
  step,
  candidate,
  conv,
  layer,
  records,
  compile,
  calls,
  workers,
  coordinator,
  cache,
  search,
  keys,
  commands,
  dashboard,
];

const collect = (value: string, previous: readonly string[]) => [...previous, value];
const options = new Command('bench')
  .description('Measures evolayer and its peers, in one thread each.')
  .option(
    '--only <group>',
    `of ${GROUPS.map(({ name }) => name).join(', ')}; repeatable`,
    collect,
    [],
  )
  .option('--case <text>', 'only cases whose name contains this; repeatable', collect, [])
  .option('--without <contender>', 'leave a contender out; repeatable', collect, [])
  .option('--quick', 'fewer cases and samples')
  .option('--json <file>', 'write all samples there')
  .parse()
  .opts<{ only: string[]; case: string[]; without: string[]; quick?: true; json?: string }>();

/** The groups asked for. */
function chosen(): readonly Group[] {
  const known = GROUPS.map(({ name }) => name);
  const unknown = options.only.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UserError(
      `There is no group ${JSON.stringify(unknown)}; the groups are ${known.join(', ')}.`,
      2,
    );
  return GROUPS.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
}

async function main(): Promise<void> {
  const groups = chosen();
  const variant = chooseVariant();
  const settings = { quick: options.quick === true, cases: options.case, without: options.without };
  const machine = { variant, engine: nativeEngine(variant) };
  const bench = new Bench(settings, machine, (line) => console.error(line));
  console.log(`${describeMachine(variant)}\n`);
  const all: Result[] = [];
  try {
    for (const group of groups) {
      const results = new Results(group.name);
      await group.run(bench, results);
      all.push(...results.all);
      // After every group, so that an interrupted run leaves what it has.
      if (options.json) writeFileSync(options.json, `${JSON.stringify(all, null, 1)}\n`);
      const text = results.all.length > 0 ? group.report(results) : 'no such cases';
      console.log([`${group.name}: ${group.doc}`, text, ...results.notes, ''].join('\n'));
    }
  } finally {
    await bench.close();
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
