import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore } from '../../../db/store.ts';
import { npy, zip } from '../../eval/data-files.ts';
import { evolayer, inProcess, TINY, temporaryFolder } from '../process.ts';

/** 180 images of 28 × 28 in three classes. */
function images(seed: number): Buffer {
  const pixels = Uint8Array.from({ length: 180 * 784 }, (_, i) => (i * seed) % 251);
  const labels = Uint8Array.from({ length: 180 }, (_, i) => i % 3);
  return zip({
    'x_train.npy': npy('|u1', [180, 28, 28], pixels),
    'y_train.npy': npy('|u1', [180], labels),
  });
}

function candidatesOf(db: string) {
  const store = openStore(db, { readonly: true });
  try {
    return [...store.candidates.ofRun(1)].map((candidate) => JSON.stringify(candidate));
  } finally {
    store.close();
  }
}

test('a run on a file goes on wherever the same file lies, and nowhere else', async () => {
  const folder = temporaryFolder();
  const db = join(folder, 'x.db');
  const search = ['search', ...TINY, '--dataset', './a.npz', '--baseline', 'DyT'];
  writeFileSync(join(folder, 'a.npz'), images(31));
  const whole = ['--proposals', '40', '--db', 'whole.db'];
  expect(await evolayer([...search, ...whole], { cwd: folder })).toMatchObject({ code: 0 });
  const part = ['--proposals', '20', '--db', db];
  expect(await evolayer([...search, ...part], { cwd: folder })).toMatchObject({ code: 0 });

  const resume = ['resume', '1', '--proposals', '30', '--db', db];
  expect(await evolayer(resume)).toMatchObject({ code: 0 });

  mkdirSync(join(folder, 'elsewhere'));
  const moved = join(folder, 'elsewhere', 'b.npz');
  renameSync(join(folder, 'a.npz'), moved);
  const more = ['resume', '1', '--proposals', '40', '--db', db];
  expect(await inProcess(more)).toMatchObject({
    ...{
      code: 1,
      stderr: expect.stringMatching(/a\.npz is missing; name one that can be read\.\n$/),
    },
  });
  writeFileSync(join(folder, 'other.npz'), images(37));
  const other = await inProcess([...more, '--dataset', join(folder, 'other.npz')]);
  expect(other).toMatchObject({
    ...{ code: 2, stderr: expect.stringMatching(/and here its hash is \w+; the scores would not/) },
  });
  expect(await evolayer([...more, '--dataset', moved])).toMatchObject({ code: 0 });
  expect(candidatesOf(db)).toEqual(candidatesOf(join(folder, 'whole.db')));

  rmSync(moved);
  const lost = await inProcess(['evaluate', 'DyT', ...TINY, '--dataset', moved]);
  expect(lost).toMatchObject({ code: 1, stderr: expect.stringMatching(/b\.npz is missing; /) });
});
