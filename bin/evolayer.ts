#!/usr/bin/env node
import { outliveTerminal, surviveOutput } from '../src/cli/output.ts';
import { run } from '../src/cli/program.ts';

outliveTerminal();
surviveOutput();
process.exitCode = await run(process.argv.slice(2));
