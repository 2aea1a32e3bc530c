/**
 * Given to a daemon by `--import`: ends its process with SIGKILL at a point of `src/base/trace.ts`.
 * INCUS_UPLOAD_CRASH_AT=POINT:N:AFTER_MS:FILE kills at the n-th time that the point is reached later than AFTER_MS after
 * the start; FILE then exists and names the point.
 */
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';

const [point, times, afterMs, ...file] = (process.env.INCUS_UPLOAD_CRASH_AT ?? '').split(':');
if (point) {
  let left = Number(times);
  const startMs = performance.now() + Number(afterMs);
  subscribe(`incus-upload:${point}`, () => {
    if (performance.now() < startMs) return;
    left -= 1;
    if (left > 0) return;
    writeFileSync(file.join(':'), point);
    process.kill(process.pid, 'SIGKILL');
  });
}
