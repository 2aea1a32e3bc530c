/**
 * Resolves when `done` does, or when the number that `progress` gives has not changed for `stallMs`. `done` goes on in
 * that case; it must not reject.
 */
export function untilDoneOrStalled(
  done: Promise<void>,
  progress: () => number,
  stallMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    let last = progress();
    const timer = setInterval(() => {
      const now = progress();
      if (now === last) finish();
      last = now;
    }, stallMs);
    function finish(): void {
      clearInterval(timer);
      resolve();
    }
    void done.then(finish);
  });
}
