// npm run torture [-- OPTION...]: kills and restarts the daemon under load; options are those of test/torture/main.ts.
import { build, ensureInstalled, run } from './prepare.js';

ensureInstalled();
build();
process.exit(run(process.execPath, ['--import', 'tsx', 'test/torture/main.ts', ...process.argv.slice(2)]));
