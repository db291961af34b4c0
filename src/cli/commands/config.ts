import type { Command } from 'commander';
import { addEngineOptions, chosenEngine, type EngineOptions } from '../engine-options.ts';
import { addFlags } from '../options.ts';
import { print } from '../output.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { configSchema } from '../schema.ts';
import { SEARCH_FLAGS, type SettingOptions, searchConfigOf } from '../settings.ts';

export const configCommand = (program: Command) =>
  addEngineOptions(addFlags(addProtocolOptions(program.command('config')), SEARCH_FLAGS))
    .option('--schema', 'print the JSON schema of configuration files instead')
    .action(config);

function config(options: SettingOptions & EngineOptions & { readonly schema?: true }) {
  const value = options.schema
    ? configSchema()
    : searchConfigOf(options, chosenEngine(options).numerics);
  print(JSON.stringify(value, null, 2));
}
