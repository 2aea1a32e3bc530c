// npm test [-- PATH...]: installs, builds, checks, then runs test/**/*.test.ts, or those under the paths given.
import { readdirSync } from 'node:fs';
import { join, normalize, relative } from 'node:path';
import { build, ensureInstalled, root, run } from './prepare.js';

const wanted = process.argv.slice(2).map((path) => normalize(path).replace(/\/$/, ''));
const files = readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .filter(
    (file) => wanted.length === 0 || wanted.some((path) => file === path || file.startsWith(`${path}/`)),
  )
  .sort();
if (files.length === 0) {
  console.error(`No test file under ${wanted.join(', ')}`);
  process.exit(64);
}

ensureInstalled();
build();
const checked = wanted.length > 0 || run(process.execPath, ['scripts/check.js']) === 0;
const passed = run(process.execPath, ['--import', 'tsx', 'scripts/run-tests.js', ...files]) === 0;
if (!checked) console.error('\nThe tests ran, but npm run check failed; see above.');
process.exit(checked && passed ? 0 : 1);
