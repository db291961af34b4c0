// Writes the JSON schema of configuration files, which is committed for editors.
import { writeFileSync } from 'node:fs';
import { configSchema, SCHEMA_FILE } from '../src/cli/schema.ts';

writeFileSync(SCHEMA_FILE, `${JSON.stringify(configSchema(), null, 2)}\n`);
