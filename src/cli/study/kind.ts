import type { Option } from 'commander';
import type { SearchConfig } from '../../search/config.ts';
import type { Arm } from '../../search/study/arms.ts';
import type { Study } from '../../search/study/study.ts';
import type { EngineOptions } from '../engine-options.ts';
import type { SettingOptions } from '../settings.ts';
import type { Rest } from './conduct.ts';
import type { StudyPlan } from './plan.ts';
import type { Findings } from './summary.ts';

/** What commander gives for the options that all studies have. */
export type StudyOptions = SettingOptions &
  EngineOptions & {
    readonly workers?: number;
    readonly seeds: number;
    readonly budget: number;
    readonly arms: readonly string[];
    readonly dir: string;
    readonly output?: string;
    readonly dryRun?: true;
    readonly json?: true;
  };

/** What a dry run tells. */
export interface Foretold {
  readonly plan: StudyPlan;
  readonly lines: readonly string[];
}

/** A study that `evolayer study` can conduct: all that is its own. */
export interface StudyKind<O extends StudyOptions, S extends Study, More, Data> {
  readonly name: string;
  readonly doc: string;
  readonly arms: readonly Arm[];
  /** Whether there is something to do without arms. */
  readonly mayLackArms: boolean;
  readonly seeds: number;
  readonly budget: number;
  /** Options that no other study has. */
  readonly options: () => readonly Option[];
  readonly studyOf: (config: SearchConfig, options: O) => S;
  readonly foretell: (study: S, plan: StudyPlan) => Promise<Foretold>;
  /** What it does besides its runs. */
  readonly rest: (study: S) => Rest<More>;
  readonly dataOf: (study: S, findings: Findings & More) => Data;
  /** For the terminal. */
  readonly tables: (data: Data) => readonly string[];
  readonly figureOf: (data: Data) => Promise<string>;
  /** In Markdown, beside `figure.svg`; `command` gives the same study elsewhere. */
  readonly reportOf: (data: Data, command: string) => string;
  /** The words of its own options. */
  readonly flags: (options: O) => readonly string[];
}
