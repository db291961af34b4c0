import { join } from 'node:path';
import type { Command } from 'commander';
import type { Study } from '../../search/study/study.ts';
import { chosenEngine, engineOfProtocol, workersOn } from '../engine-options.ts';
import { makeFolder, writeWhole } from '../files.ts';
import { INTERRUPTED, interruptibly } from '../interrupt.ts';
import { note, print, printJson, quoted } from '../output.ts';
import { searchConfigOf } from '../settings.ts';
import { conduct } from '../study/conduct.ts';
import { hashingKind } from '../study/hashing.ts';
import type { StudyKind, StudyOptions } from '../study/kind.ts';
import { addStudyOptions, listWords } from '../study/options.ts';
import { studyPlan } from '../study/plan.ts';
import { searchKind } from '../study/search.ts';

export const studyCommand = (program: Command) => {
  const command = program.command('study');
  addStudy(command, hashingKind);
  addStudy(command, searchKind);
  return command;
};

function addStudy<O extends StudyOptions, S extends Study, More, Data>(
  command: Command,
  kind: StudyKind<O, S, More, Data>,
): void {
  const { name, doc, mayLackArms, seeds, budget } = kind;
  addStudyOptions(command.command(name).description(doc), {
    ...{ name, mayLackArms, seeds, budget, own: kind.options() },
    arms: kind.arms.map((arm) => arm.name),
  }).action(async (options: O) => study(kind, options));
}

async function study<O extends StudyOptions, S extends Study, More, Data>(
  kind: StudyKind<O, S, More, Data>,
  options: O,
): Promise<void> {
  const chosen = chosenEngine(options);
  const planned = kind.studyOf(searchConfigOf(options, chosen.numerics), options);
  const engine = engineOfProtocol(chosen, planned.base.protocol);
  const workers = workersOn(engine.numerics, options.workers);
  const { json } = options;
  if (options.dryRun) {
    const { plan, lines } = await kind.foretell(planned, studyPlan(planned, engine, workers));
    return json ? printJson(plan) : print(lines.join('\n'));
  }
  const folder = options.output ?? options.dir;
  // Both now, so that what is wrong with them is told before hours of work.
  for (const path of [options.dir, folder]) makeFolder(path);
  const findings = await interruptibly(
    (signal) => conduct(planned, { workers, signal, say: note }, kind.rest(planned)),
    note,
  );
  if (findings === null) {
    process.exitCode = INTERRUPTED;
    note('Interrupted; what is done is saved.');
    return note(`To go on: evolayer ${process.argv.slice(2).map(quoted).join(' ')}`);
  }
  const data = kind.dataOf(planned, findings);
  writeWhole(join(folder, 'data.json'), `${JSON.stringify(data, null, 1)}\n`);
  writeWhole(join(folder, 'figure.svg'), await kind.figureOf(data));
  writeWhole(join(folder, 'REPORT.md'), kind.reportOf(data, commandLine(kind, options)));
  if (json) return printJson(data);
  for (const table of kind.tables(data)) print(table);
  print(`The report is ${join(folder, 'REPORT.md')}.`);
}

/** What gives the same study elsewhere, but for settings of the protocol and files. */
function commandLine<O extends StudyOptions, S extends Study, More, Data>(
  { name, arms, flags }: StudyKind<O, S, More, Data>,
  options: O,
): string {
  const { preset, seeds, budget } = options;
  const all = arms.map((arm) => arm.name);
  return [
    ...['evolayer', 'study', name, '--preset', preset],
    ...['--seeds', String(seeds), '--budget', String(budget)],
    ...listWords('--arms', options.arms, all),
    ...flags(options),
  ].join(' ');
}
