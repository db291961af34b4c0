/* Asks for the statistics of a database, in a process each time, until its standard input is closed: see groups/coordinator.ts. */
import { spawn } from 'node:child_process';

const [program, db] = process.argv.slice(2) as [string, string];

function read(): void {
  const asking = spawn(process.execPath, [program, 'stats', '--json', '--db', db], {
    stdio: 'ignore',
  });
  asking.on('exit', read);
}

process.stdin.on('end', () => process.exit(0)).resume();
read();
