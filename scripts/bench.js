// npm run bench [-- OPTIONS]: installs, builds, then measures side by side; `-- --help` lists the options.
import { spawn } from 'node:child_process';
import { build, ensureInstalled, root } from './prepare.js';

ensureInstalled();
build();
const args = ['--import', 'tsx', 'test/bench/main.ts', ...process.argv.slice(2)];
const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
// A terminal's Ctrl-C reaches the bench too, which cleans up; this process stays until that is done.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('exit', (status) => process.exit(status ?? 1));
