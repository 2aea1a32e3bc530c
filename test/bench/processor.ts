import { readFileSync } from 'node:fs';

/** Ticks a second in proc_stat(5): USER_HZ, which is 100 on every architecture of Linux but one. */
const USER_HZ = 100;

export type ProcessorTime = { readonly busySeconds: number; readonly allSeconds: number };

/** What all processors of the machine have worked since it started, and how long they have been there for. */
export function readProcessorTime(stat: string = readFileSync('/proc/stat', 'utf8')): ProcessorTime {
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0] =
    /^cpu +([\d ]+)$/m.exec(stat)?.[1]?.split(' ').map(Number) ?? [];
  const busy = user + nice + system + irq + softirq;
  return { busySeconds: busy / USER_HZ, allSeconds: (busy + idle + waiting) / USER_HZ };
}

/** Seconds that the processors have worked since `before`, and which part of their time that is. */
export function workedSince(before: ProcessorTime, now = readProcessorTime()) {
  const seconds = now.busySeconds - before.busySeconds;
  return { seconds, percent: (100 * seconds) / (now.allSeconds - before.allSeconds) };
}
