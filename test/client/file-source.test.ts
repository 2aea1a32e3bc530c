import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sha256OfSource } from '../../src/client/checksum.ts';
import { type FileSource, openFileSource } from '../../src/client/file-source.ts';

const directory = mkdtempSync(join(tmpdir(), 'incus-upload-source-'));
after(() => rmSync(directory, { recursive: true }));

function makeFile(size: number): { path: string; bytes: Buffer } {
  const path = join(directory, `file-${size}`);
  const bytes = randomBytes(size);
  writeFileSync(path, bytes, { mode: 0o640 });
  return { path, bytes };
}

async function readAll(source: FileSource, between: () => void = () => undefined): Promise<Buffer> {
  const body = await source.body();
  if (Buffer.isBuffer(body)) return body;
  const pieces: Buffer[] = [];
  for await (const piece of body) {
    // A piece is valid only until the next one is asked for.
    pieces.push(Buffer.from(piece));
    between();
  }
  return Buffer.concat(pieces);
}

test('openFileSource() gives the bytes of files of all sizes, again and again', async () => {
  for (const size of [0, 1, 256 * 1024, 256 * 1024 + 1, 1024 * 1024, 3 * 1024 * 1024 + 5]) {
    const { path, bytes } = makeFile(size);
    const source = openFileSource(path);
    assert.deepEqual([source.sizeBytes, source.mode, source.rewindable], [size, 0o640, true]);
    assert.ok((await readAll(source)).equals(bytes));
    assert.ok((await readAll(source)).equals(bytes));
    assert.equal(
      await sha256OfSource(source),
      execFileSync('sha256sum', [path], { encoding: 'utf8' }).slice(0, 64),
    );
    await source.close();
  }
});

test('openFileSource() holds the end back when the file changed', async () => {
  for (const [name, change] of [
    ['grew', (path: string) => appendFileSync(path, 'x')],
    ['shrank', (path: string) => truncateSync(path, 1024 * 1024)],
    ['was touched', (path: string) => utimesSync(path, 1, 1)],
  ] as const) {
    for (const size of [1000, 4 * 1024 * 1024]) {
      const { path } = makeFile(size);
      const source = openFileSource(path);
      let read = 0;
      let changed = false;
      const reading = readAll(source, () => {
        read += 1;
        if (!changed) change(path);
        changed = true;
      });
      if (size === 1000) {
        await reading;
        change(path);
        await assert.rejects(
          readAll(source),
          { code: 'source_unreadable', message: /changed while it was read/ },
          name,
        );
      } else {
        await assert.rejects(
          reading,
          { code: 'source_unreadable', message: /changed while it was read/ },
          name,
        );
        assert.ok(read < 8);
      }
      await source.close();
    }
  }
});

test('openFileSource() reads no file so soon after a change that the next one would have the same time', async () => {
  for (const size of [10, 1024 * 1024]) {
    const { path } = makeFile(size);
    const source = openFileSource(path);
    await source.body();
    assert.ok(Date.now() - statSync(path).mtimeMs >= 10);
    await source.close();
  }
});

test('openFileSource() refuses what is no regular file, without waiting', () => {
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  assert.throws(() => openFileSource(pipe), { code: 'source_unreadable', message: /not a regular file/ });
  assert.throws(() => openFileSource(directory), { code: 'source_unreadable', message: /is a directory/ });
  assert.throws(() => openFileSource(join(directory, 'none')), { message: /there is no such file/ });
  assert.throws(() => openFileSource('/dev/null'), { message: /not a regular file/ });
});
