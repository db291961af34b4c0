import type { Command } from 'commander';
import { PROTOCOL_FLAGS } from '../eval/presets.ts';
import { addFlags } from './options.ts';

/** The flags that name a protocol. */
export const addProtocolOptions = (command: Command): Command =>
  addFlags(
    command
      .option('--preset <name>', 'settings to start from', 'quick')
      .option('--config <file>', 'JSON file of settings; flags override it'),
    PROTOCOL_FLAGS,
  );
