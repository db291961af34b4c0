import type { Command } from 'commander';
import { type Condition, type Diagnosis, diagnose } from '../../eval/diagnosis.ts';
import { jsonOption } from '../options.ts';
import { print, printJson } from '../output.ts';

export const doctorCommand = (program: Command) =>
  program.command('doctor').addOption(jsonOption()).action(doctor);

function doctor({ json }: { readonly json?: true }) {
  const diagnosis = diagnose();
  if (json) return printJson(diagnosis);
  print(linesOf(diagnosis).join('\n'));
}

function linesOf({ native, tfjs, auto }: Diagnosis): string[] {
  return [
    `Node ${process.version} on ${process.platform}, ${process.arch}`,
    ...about('native engine', native),
    ...tfjs.flatMap(({ backend, ...condition }) => about(`TensorFlow.js, ${backend}`, condition)),
    `What trains unless --engine and --backend say otherwise: ${auto}`,
  ];
}

function about(name: string, condition: Condition): string[] {
  if (condition.state === 'ready') return [`${name}: ready (${condition.numerics})`];
  const { state, reason, mend } = condition;
  return [`${name}: ${state}: ${reason}`, `  to mend it: ${mend}`];
}
