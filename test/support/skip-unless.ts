import { spawnSync } from 'node:child_process';

/** Options that skip a test where a program is missing, saying so; with CI=true nothing is skipped. */
export function skipUnless(program: string): { readonly skip?: string } {
  const { status } = spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
  return status === 0 || process.env.CI === 'true' ? {} : { skip: `${program} is not installed` };
}
