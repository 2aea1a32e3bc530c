import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string | Buffer;
  readonly cwd?: string;
  /** Called with the process once it runs. */
  readonly meanwhile?: (child: ReturnType<typeof spawn>) => void;
};

export type BuiltClient = {
  /** The program's file, to be run by Node. */
  readonly program: string;
  /** A directory for the test's own files. */
  readonly directory: string;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  remove(): void;
};

/** Bundles the client as `npm run build` does, into a temporary directory. */
export async function buildClient(): Promise<BuiltClient> {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-client-'));
  const cli = join(directory, 'dist', 'cli');
  mkdirSync(cli, { recursive: true });
  symlinkSync(join(root, 'package.json'), join(directory, 'package.json'));
  const url = new URL('../../scripts/bundle-cli.js', import.meta.url).href;
  const { bundleCli } = (await import(url)) as { bundleCli(root: string, directory: string): Promise<void> };
  await bundleCli(root, cli);
  const program = join(cli, 'incus-upload.cjs');
  copyFileSync(join(root, 'scripts', 'cli-loader.cjs'), program);
  return {
    program,
    directory,
    run: (args, options = {}) => run(program, args, options),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** What the tests' own environment would decide is left out. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^(?:INCUS_|NO_COLOR$|FORCE_COLOR$|CI$|NODE_|SSL_CERT_|XDG_)/.test(name)) delete env[name];
  }
  // Without remotes, whoever runs the tests.
  return { ...env, HOME: '/nonexistent' };
}

function run(program: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd,
      env: { ...cleanEnvironment(), ...options.env },
      stdio: 'pipe',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
    // The client may end without reading its input.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
    options.meanwhile?.(child);
  });
}
