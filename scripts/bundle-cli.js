/**
 * The command-line client as few files that load fast. esbuild cuts it into chunks, one for each command and what they
 * share; those that a plain `push` needs go into hot.cjs, all others into cold.cjs, which most runs never read.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import esbuild from 'esbuild';

const require = createRequire(import.meta.url);
const TARGET = 'node20.19';

/** What `push` loads besides the entry, in the form of esbuild's metafile. */
const HOT_ENTRIES = ['src/cli/entry.ts', 'src/cli/program.ts', 'src/cli/push.ts'];

/** Stand-ins for what undici and commander load but the client does not use. */
const STAND_INS = {
  // Assertions of undici's own invariants.
  'node:assert': `
    const assert = (value, message) => { if (!value) throw message instanceof Error ? message : new Error(message || 'assertion failed'); };
    module.exports = Object.assign(assert, { ok: assert, equal: (a, b) => assert(a == b), strictEqual: (a, b) => assert(a === b),
      notStrictEqual: (a, b) => assert(a !== b) });`,
  // Node's own client and server; undici takes its parser's limit from there, and looks whether a body is a request.
  'node:http': 'module.exports = { maxHeaderSize: 16384, IncomingMessage: class {} };',
  // Commander starts subcommands that are programs of their own; ours are not.
  'node:child_process': `module.exports = { spawn() { throw new Error('left out: node:child_process'); } };`,
};

/** HTTP/2, proxies and the body types of fetch. */
const LEFT_OUT = [/\/client-h2\.js$/, /\/socks5-\w+\.js$/, /\/web\/fetch\/body\.js$/];

const lean = {
  name: 'lean',
  setup(build) {
    const lib = join(dirname(require.resolve('undici/package.json')), 'lib');
    build.onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'lean' }));
    build.onLoad({ filter: /^undici$/, namespace: 'lean' }, () => ({
      resolveDir: lib,
      contents: `
        const Pool = require('./dispatcher/pool.js');
        Pool.prototype.request = require('./api/api-request.js');
        exports.Pool = Pool;`,
    }));
    for (const [name, contents] of Object.entries(STAND_INS)) {
      const filter = new RegExp(`^${name}$`);
      build.onResolve({ filter }, ({ importer }) =>
        importer.includes('node_modules') ? { path: name, namespace: 'lean' } : undefined,
      );
      build.onLoad({ filter, namespace: 'lean' }, () => ({ contents }));
    }
    for (const filter of LEFT_OUT) {
      build.onResolve({ filter }, ({ path }) => ({ path, namespace: 'left-out' }));
    }
    // The parser's binary from a file of its own: as text it would be a third of what is loaded at each start.
    build.onLoad({ filter: /\/llhttp_simd-wasm\.js$/ }, () => ({
      contents: `
        const { fileURLToPath } = require('node:url');
        module.exports = require('node:fs').readFileSync(fileURLToPath(new URL('llhttp.wasm', bundleUrl)));`,
    }));
    // The parser for processors without SIMD: read from the package where it is needed.
    build.onResolve({ filter: /\/llhttp-wasm\.js$/ }, () => ({
      path: 'undici/lib/llhttp/llhttp-wasm.js',
      external: true,
    }));
    // Error messages in other languages, which zod's entry brings along.
    build.onResolve({ filter: /\/locales\/index\.js$/ }, () => ({ path: 'locales', namespace: 'empty' }));
    build.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'export {};' }));
    build.onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path }) => ({
      contents: `module.exports = () => { throw new Error('left out: ${path}'); };`,
    }));
  },
};

/** Writes hot.cjs, cold.cjs and llhttp.wasm into `directory`; `root` is the checkout. */
export async function bundleCli(root, directory) {
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: ['src/cli/entry.ts'],
    outdir: directory,
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    minify: true,
    legalComments: 'none',
    platform: 'node',
    format: 'esm',
    target: TARGET,
    logLevel: 'warning',
    define: { 'import.meta.url': 'bundleUrl' },
    plugins: [lean],
  });
  writeFileSync(join(directory, 'llhttp.wasm'), require('undici/lib/llhttp/llhttp_simd-wasm.js'));
  const hot = hotOutputs(metafile.outputs);
  const files = { hot: [], cold: [] };
  for (const { path, text } of outputFiles) {
    const name = basename(path);
    // Chunks are made as ES modules, which alone esbuild can split, and loaded as CommonJS, which starts faster.
    const { code } = await esbuild.transform(text, {
      format: 'cjs',
      platform: 'node',
      target: TARGET,
      minify: true,
      charset: 'ascii',
      // `import()` of a chunk becomes `require`, which the loader serves.
      supported: { 'dynamic-import': false },
    });
    files[hot.has(name) ? 'hot' : 'cold'].push(
      `${JSON.stringify(name)}(require,module,exports,bundleUrl){${code}}`,
    );
  }
  for (const [temperature, chunks] of Object.entries(files)) {
    writeFileSync(join(directory, `${temperature}.cjs`), `({${chunks.join(',\n')}})\n`);
  }
}

/** Names of the chunks that hold the hot entries and what these import at once. */
function hotOutputs(outputs) {
  const hot = new Set();
  const visit = (path) => {
    const name = basename(path);
    if (hot.has(name) || outputs[path] === undefined) return;
    hot.add(name);
    for (const { path: imported, kind } of outputs[path].imports) {
      if (kind === 'import-statement') visit(imported);
    }
  };
  for (const [path, { entryPoint }] of Object.entries(outputs)) {
    if (HOT_ENTRIES.includes(entryPoint)) visit(path);
  }
  return hot;
}
