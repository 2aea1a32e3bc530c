/**
 * Milliseconds of a clock that never jumps. Not `performance.now()`: the first use of that global loads a dozen of Node's
 * modules, which is felt in a command as short as a small push.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
