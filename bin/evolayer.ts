#!/usr/bin/env node
import { endQuietlyWithoutReader } from '../src/cli/output.ts';
import { run } from '../src/cli/program.ts';

endQuietlyWithoutReader();
process.exitCode = await run(process.argv.slice(2));
