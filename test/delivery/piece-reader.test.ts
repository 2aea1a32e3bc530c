import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_BYTES } from '../../src/base/aligned-blocks.ts';
import type { PayloadSource } from '../../src/delivery/payload-source.ts';
import { PieceReader } from '../../src/delivery/piece-reader.ts';
import { createGate, createReadSource, patternBytes, until } from './delivery-builder.ts';

async function readAll(reader: PieceReader): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (;;) {
    const { data, release } = await reader.next();
    pieces.push(Buffer.from(data));
    release();
    if (data.length === 0) return Buffer.concat(pieces);
  }
}

test('PieceReader gives every byte in order, also when reads are short', async () => {
  for (const size of [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 77]) {
    const bytes = patternBytes(size);
    const short: PayloadSource = createReadSource(bytes, {
      read: async (buffer, offset) => bytes.copy(buffer, 0, offset, offset + Math.ceil(buffer.length / 3)),
    });
    for (const source of [createReadSource(bytes), short]) {
      const reader = new PieceReader(source);
      assert.ok((await readAll(reader)).equals(bytes), `${size} bytes`);
      reader.close();
    }
  }
});

test('PieceReader takes what is in memory before it reads, and releases all that it has borrowed', async () => {
  const bytes = patternBytes(6 * BLOCK_BYTES);
  let lent = 0;
  let released = 0;
  let read = 0;
  const source = createReadSource(bytes, {
    lend: async (offset) => {
      const index = offset / BLOCK_BYTES;
      if (index % 2 === 1 || offset >= bytes.length) return undefined;
      lent += 1;
      return {
        data: bytes.subarray(offset, offset + BLOCK_BYTES),
        release: () => {
          released += 1;
        },
      };
    },
    read: async (buffer, offset) => {
      read += 1;
      return bytes.copy(buffer, 0, offset);
    },
  });
  const whole = new PieceReader(source);
  assert.ok((await readAll(whole)).equals(bytes));
  whole.close();
  assert.deepEqual({ lent, released, read }, { lent: 3, released: 3, read: 4 });

  const cut = new PieceReader(source);
  (await cut.next()).release();
  cut.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(released, lent);
});

test('PieceReader releases a piece for which nobody waited to the end', async () => {
  let isReleased = false;
  const gate = createGate<void>();
  const source = createReadSource(patternBytes(10), {
    lend: async () => {
      await gate.promise;
      return {
        data: patternBytes(10),
        release: () => {
          isReleased = true;
        },
      };
    },
  });
  const reader = new PieceReader(source);
  await assert.rejects(
    reader.next((piece) => Promise.race([piece, Promise.reject(new Error('the instance is gone'))])),
    /is gone/,
  );
  reader.close();
  assert.equal(isReleased, false);
  gate.open();
  await until('it is released', () => isReleased);
});

test('PieceReader.next() rejects with payload_lost when the payload cannot be read', async () => {
  const reader = new PieceReader(
    createReadSource(Buffer.alloc(0), { read: () => Promise.reject(new Error('EIO')) }),
  );
  await assert.rejects(reader.next(), /EIO/);
  assert.equal((await reader.next()).data.length, 0);
  reader.close();
});
