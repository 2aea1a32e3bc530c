/** A disk between a payload's writer and the real one, and a sender. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { TestContext } from 'node:test';
import type { PayloadWriter } from '../../src/spool/payload-writer.ts';

export type Writev = (
  fd: number,
  buffers: readonly Buffer[],
  position: number,
  callback: (error: Error | null, written: number) => void,
) => void;

/** Writes go to what `make` makes of the real one, for instance one that writes less, or nothing. */
export function replaceWritev(t: TestContext, make: (real: Writev) => Writev): void {
  const real = fs.writev as unknown as Writev;
  const replace = (writev: Writev): void => {
    Object.assign(fs, { writev });
    syncBuiltinESMExports();
  };
  replace(make(real));
  t.after(() => replace(real));
}

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it does not work`), { code });
}

/** Writes as a request does: stops when told to, goes on when called. */
export async function writeAll(writer: PayloadWriter, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks) {
    await new Promise<void>((resolve) => {
      if (writer.write(chunk, resolve)) resolve();
    });
  }
}
