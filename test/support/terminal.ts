/** A terminal whose screen can be read: tmux, with a shell in it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type BuiltClient, cleanEnvironment } from './built-client.ts';

const execute = promisify(execFile);

export type Terminal = {
  /** Runs a command of tmux and resolves to what that prints. */
  tmux(...args: string[]): Promise<string>;
  /** Opens a terminal with a shell in the directory of the client's files, `i` being the client. */
  open(columns: number, env?: string): Promise<void>;
  /** Types a line. */
  type(text: string): Promise<void>;
  screen(): Promise<string>;
  /** The screen as soon as it shows what is looked for. */
  screenWith(pattern: RegExp): Promise<string>;
  /** Ends the shell and what runs in it. */
  end(): Promise<void>;
  remove(): void;
};

export function createTerminal(client: BuiltClient, url: () => string): Terminal {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-tmux-'));
  /** Each terminal has a server of its own: one that is ending would take the next one's session with it. */
  let opened = 0;

  const tmux = async (...args: string[]): Promise<string> => {
    const env = { ...cleanEnvironment(), TMUX_TMPDIR: directory, LANG: 'C.UTF-8' };
    const { stdout } = await execute('tmux', ['-u', '-f', '/dev/null', '-L', `test-${opened}`, ...args], {
      env,
    });
    return stdout;
  };
  const screen = async (): Promise<string> => (await tmux('capture-pane', '-p')).replace(/\n+$/, '\n');
  const screenWith = async (pattern: RegExp): Promise<string> => {
    let text = '';
    for (let tries = 0; tries < 400; tries += 1) {
      text = await screen();
      if (pattern.test(text)) return text;
      await sleep(50);
    }
    assert.fail(`the screen never showed ${pattern}:\n${text}`);
  };

  return {
    tmux,
    screen,
    screenWith,
    open: async (columns, env = '') => {
      opened += 1;
      const rc = join(client.directory, 'rc');
      writeFileSync(
        rc,
        `PS1='$ '; export INCUS_UPLOAD_URL=${url()} ${env}; i() { '${process.execPath}' '${client.program}' "$@"; }\n`,
      );
      const size = ['-x', `${columns}`, '-y', '24'];
      await tmux('new-session', '-d', ...size, '-c', client.directory, `bash --rcfile ${rc} -i`);
      await screenWith(/\$ *\n/);
    },
    type: async (text) => {
      await tmux('send-keys', '-l', text);
      await tmux('send-keys', 'Enter');
    },
    end: async () => void (await tmux('kill-server').catch(() => undefined)),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
