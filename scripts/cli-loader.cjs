'use strict';
// Loads the bundled client the way that is quickest: chunks as functions in few files (scripts/bundle-cli.js), with V8's
// compiled form beside them, which another Node than the one that built them ignores.

if (process.argv.length === 3 && process.argv[2] === '--version') {
  // What the client itself would print, without loading it.
  process.stdout.write(`${require('../../package.json').version}\n`);
} else {
  run();
}

function run() {
  const { readFileSync } = require('node:fs');
  const { join } = require('node:path');
  const { pathToFileURL } = require('node:url');
  const { setFlagsFromString } = require('node:v8');
  const { Script } = require('node:vm');

  // The HTTP parser is WebAssembly. Optimizing it keeps two threads busy for a quarter of a second, for which the process
  // waits at its end, and a client has only a few hundred bytes to parse.
  setFlagsFromString('--no-wasm-tier-up');
  setFlagsFromString('--no-wasm-dynamic-tiering');

  const bundleUrl = pathToFileURL(__filename).href;
  const scripts = {};
  const chunks = {};
  const modules = {};
  exports.scripts = scripts;

  const readCache = (path) => {
    try {
      return readFileSync(path);
    } catch {
      return undefined;
    }
  };

  const read = (temperature) => {
    if (temperature in scripts) return;
    const filename = join(__dirname, `${temperature}.cjs`);
    // The chunks are ASCII, so one byte is one character.
    const source = readFileSync(filename, 'latin1');
    const cachedData = readCache(join(__dirname, `${temperature}.cache`));
    scripts[temperature] = new Script(source, { filename, cachedData });
    Object.assign(chunks, scripts[temperature].runInThisContext());
  };

  const load = (name) => {
    if (name in modules) return modules[name].exports;
    if (!(name in chunks)) read('cold');
    const module = { exports: {} };
    modules[name] = module;
    chunks[name](requireFrom, module, module.exports, bundleUrl);
    return module.exports;
  };

  const requireFrom = (id) => (id.startsWith('./') ? load(id.slice(2)) : require(id));

  read('hot');
  load('entry.js');
}
