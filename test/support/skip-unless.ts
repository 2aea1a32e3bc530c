import { spawnSync } from 'node:child_process';

/** Options that skip a test where a program is missing, saying so; with CI=true nothing is skipped. */
export function skipUnless(...programs: string[]): { readonly skip?: string } {
  const missing = programs.find(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status !== 0,
  );
  return missing === undefined || process.env.CI === 'true' ? {} : { skip: `${missing} is not installed` };
}
