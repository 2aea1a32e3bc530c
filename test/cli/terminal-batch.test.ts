/** A push for several instances on a real terminal, with a real daemon. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { type Daemon, startDaemon } from '../support/programs.ts';
import { skipUnless } from '../support/skip-unless.ts';
import { createTerminal, type Terminal } from '../support/terminal.ts';

const onTmux = skipUnless('tmux');

let client: BuiltClient;
let daemon: Daemon;
let instances: string;
let terminal: Terminal;
before(async () => {
  client = await buildClient();
  writeFileSync(join(client.directory, 'app.bin'), Buffer.alloc(4 << 20, 'app'));
  instances = mkdtempSync(join(tmpdir(), 'iu-terminal-batch-'));
  for (const name of ['web-1', 'web-2']) mkdirSync(join(instances, name));
  daemon = await startDaemon({ target: `dir:${instances}` });
  terminal = createTerminal(client, () => `unix:${daemon.socketPath}`);
});
after(async () => {
  await daemon.close();
  client.remove();
  terminal.remove();
  rmSync(instances, { recursive: true, force: true });
});

for (const columns of [80, 40, 200]) {
  test(
    `push --wait to several instances ends with the batch and a table of what failed, ${columns} columns wide`,
    onTmux,
    async () => {
      await terminal.open(columns);
      await terminal.type("i push --wait app.bin 'web-*,absent:/opt/'; echo status $?");
      const text = await terminal.screenWith(/status 1/);
      await terminal.end();
      const joined = text.replaceAll('\n', '');
      assert.match(joined, /✔ app\.bin: queued as b-\w{11} for 3 destinations/);
      for (const name of ['web-1', 'web-2'])
        assert.match(joined, new RegExp(`✔ ${name}: delivered to ${name}:/opt/app\\.bin`));
      assert.match(text, /^ID .*INST.* REASON$/m);
      // Where there is little room the path goes first.
      assert.match(text, /^\w{11} .*absent .*instance_no/m);
      assert.match(joined, /1 of the 3 jobs of b-\w{11} *came to nothing/);
      assert.doesNotMatch(text, /%/);
    },
  );
}
