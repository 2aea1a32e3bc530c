/**
 * Large writes to one file system take turns. One at a time keeps a disk busy; more only stand in its own queue, and there
 * everybody else's syncs stand behind them: those of uploads that wait for their answer.
 */
import { Turns } from '../../base/turns.ts';

const AT_ONCE = 1;

/** By device, while there is something to do. A file system that hangs makes only those wait that write to it. */
const byDevice = new Map<number, Turns>();

/** `device`: the `dev` of stat(2). */
export async function inTurn<T>(device: number, write: () => Promise<T>): Promise<T> {
  const turns = byDevice.get(device) ?? new Turns(AT_ONCE);
  byDevice.set(device, turns);
  try {
    return await turns.run(write);
  } finally {
    if (turns.isIdle) byDevice.delete(device);
  }
}
