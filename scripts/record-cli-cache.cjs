'use strict';
// record-cli-cache.cjs DIRECTORY ARGUMENT...: runs the client of that directory and keeps what V8 compiled for it.
const { writeFileSync } = require('node:fs');
const { join } = require('node:path');

const [node, , directory, ...args] = process.argv;
const loader = join(directory, 'incus-upload.cjs');
process.argv = [node, loader, ...args];
process.once('exit', (status) => {
  if (status !== 0) return;
  for (const [temperature, script] of Object.entries(require(loader).scripts)) {
    if (script.cachedDataRejected === undefined) {
      writeFileSync(join(directory, `${temperature}.cache`), script.createCachedData());
    }
  }
});
require(loader);
