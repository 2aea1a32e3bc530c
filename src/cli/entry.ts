import { main } from './main.ts';

/** Standard output may be a pipe whose reader is slow; what is written has to be out before the process ends. */
function flushed(): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.destroyed || process.stdout.writableLength === 0) resolve();
    else process.stdout.write('', () => resolve());
  });
}

// Ends the process at once: sockets kept open for a next request would hold it.
void main(process.argv.slice(2)).then(async (exitStatus) => {
  await flushed();
  process.exit(exitStatus);
});
