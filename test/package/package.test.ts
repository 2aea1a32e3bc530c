/**
 * The Debian package, installed from its file where systemd runs for real: its service lives in the whole sandbox of
 * its unit and delivers into a real Incus. One container for all; the tests follow each other.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  containerSkipReason,
  openSystemdContainer,
  repackAs,
  type SystemdContainer,
} from './systemd-container.ts';

const BUILD = fileURLToPath(new URL('../../scripts/package-deb.js', import.meta.url));
const PUSHES = fileURLToPath(new URL('pushes.cjs', import.meta.url));
const SOCKET = '/run/incus-upload/uploadd.sock';
const NEXT_VERSION = '99.0.0';
const DEADLINE_MS = 60_000;

type Pushed = { readonly accepted: { number: number; id: string }[]; readonly refused: string[] };

describe('the Debian package', { skip: containerSkipReason() ?? false }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-package-'));
  let container: SystemdContainer;
  let deb: string;

  const run = (script: string, user?: string): Promise<string> => container.run(script, user);
  const show = (property: string): Promise<string> => run(`systemctl show -P ${property} incus-uploadd`);
  const inInstance = (path: string): string => container.incus.hostPath('c1', path);

  async function eventually(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
    for (const end = Date.now() + DEADLINE_MS; !(await isSo()); await delay(100)) {
      if (Date.now() < end) continue;
      const log = await run('journalctl --no-pager -n 40 -u incus-uploadd');
      assert.fail(`not in time: ${what}\n${log}`);
    }
  }

  /** Pushes all the while that `action` takes, and checks that each was accepted and delivered. */
  async function pushDuring(action: () => Promise<unknown>): Promise<void> {
    rmSync(inInstance('/root/burst'), { recursive: true, force: true });
    await run('rm -f /root/stop');
    const pushing = run(`node /root/pushes.cjs ${SOCKET} c1 100`);
    await eventually('uploads flow', () => existsSync(inInstance('/root/burst/8')));
    await action();
    await run('touch /root/stop');
    const { accepted, refused } = JSON.parse(await pushing) as Pushed;
    assert.deepEqual(refused, []);
    assert.ok(accepted.length >= 100);
    await run(`incus-upload wait --timeout 60s ${accepted.map(({ id }) => id).join(' ')}`);
    const delivered = readdirSync(inInstance('/root/burst'));
    assert.equal(delivered.length, accepted.length);
    for (const name of delivered) assert.equal(readFileSync(inInstance(`/root/burst/${name}`), 'utf8'), name);
  }

  before(async () => {
    execFileSync(process.execPath, [BUILD, '--no-build', '--out', directory], { stdio: 'ignore' });
    deb = join(directory, readdirSync(directory).find((name) => name.endsWith('.deb')) as string);
    container = await openSystemdContainer();
    await container.put(readFileSync(deb), '/root/incus-upload.deb');
    await container.put(readFileSync(repackAs(NEXT_VERSION, deb, directory)), '/root/next.deb');
    await container.put(readFileSync(PUSHES), '/root/pushes.cjs');
  });

  after(async () => {
    await container?.close();
    rmSync(directory, { recursive: true });
  });

  test('is installed before Incus, and says what to do then', async () => {
    const { status, stderr } = await container.tryRun('dpkg -i /root/incus-upload.deb');
    assert.equal(status, 0, stderr);
    assert.match(stderr, /no group incus-admin yet; install Incus, then: dpkg-reconfigure incus-upload/);
    await container.connectIncus();
    await run('useradd -m -G incus-admin alice; useradd -m bob');
    await run('dpkg-reconfigure incus-upload');
    await eventually('the service runs', async () => (await show('ActiveState')) === 'active');
    assert.equal(await run('id -Gn incus-upload'), 'incus-upload incus-admin');
    assert.equal(await run('systemctl is-enabled incus-uploadd.socket incus-uploadd'), 'enabled\nenabled');
    assert.equal(await show('StatusText'), '0 jobs queued');
    assert.equal(await run(`stat -c '%G %a' ${SOCKET}`), 'incus-admin 660');
    assert.equal(await run('stat -c "%U %a" /var/lib/incus-upload'), 'incus-upload 700');
    await run(
      'test -s /usr/share/man/man8/incus-uploadd.8.gz; bash -n /usr/share/bash-completion/completions/incus-upload',
    );
  });

  test('has a service that works inside a sandbox which leaves little exposed', async (t) => {
    const verdict = await run('systemd-analyze security --no-pager incus-uploadd');
    const exposure = Number(/Overall exposure level for incus-uploadd.service: ([\d.]+)/.exec(verdict)?.[1]);
    t.diagnostic(`exposure ${exposure}`);
    assert.ok(exposure <= 1.5, verdict);
    const about = await run(`cat /proc/${await show('MainPID')}/status`);
    assert.match(about, /^NoNewPrivs:\t1$/m);
    assert.match(about, /^Seccomp:\t2$/m);
    assert.match(about, /^CapBnd:\t0+$/m);

    await run('echo hello > hello.txt; incus-upload push --wait hello.txt c1:/root/', 'alice');
    assert.equal(readFileSync(inInstance('/root/hello.txt'), 'utf8'), 'hello\n');
  });

  test('keeps out who is not in the group, and names the group', async () => {
    const { status, stderr } = await container.tryRun('echo x > x; incus-upload push x c1:/root/', 'bob');
    assert.equal(status, 77);
    assert.match(stderr, /closed to you; join the group incus-admin/);
    assert.ok(!existsSync(inInstance('/root/x')));
  });

  test('refuses and loses nothing while the service is restarted', async () => {
    await pushDuring(async () => {
      for (let i = 0; i < 2; i += 1) await run('systemctl restart incus-uploadd');
    });
  });

  test('has a reload that fails on a wrong configuration', async () => {
    await run('systemctl reload incus-uploadd');
    await run(
      'cp -a /etc/incus-upload/uploadd.yml /root/; echo concurrency: many >> /etc/incus-upload/uploadd.yml',
    );
    const { status } = await container.tryRun('systemctl reload incus-uploadd');
    assert.notEqual(status, 0);
    assert.match(await run('journalctl --no-pager -n 20 -u incus-uploadd'), /uploadd.yml.*concurrency/);
    await run('cp -a /root/uploadd.yml /etc/incus-upload/');
    assert.equal(await show('ActiveState'), 'active');
  });

  test('serves HTTPS, with a key that only root may read, to who has a token', async () => {
    const folder = '/etc/systemd/system/incus-uploadd.service.d';
    const lines = [
      '[Service]',
      'LoadCredential=tls.key:/root/tls.key',
      'Environment=INCUS_UPLOADD_TLS_KEY=%d/tls.key',
      'Environment=INCUS_UPLOADD_TLS_CERT=/etc/uploadd.pem',
    ];
    const names = ['-subj', '/CN=uploadd', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const files = ['-keyout', join(directory, 'tls.key'), '-out', join(directory, 'tls.crt')];
    const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    execFileSync('openssl', [...how, ...names, ...files], { stdio: 'ignore' });
    await container.put(readFileSync(join(directory, 'tls.key')), '/root/tls.key');
    await container.put(readFileSync(join(directory, 'tls.crt')), '/etc/uploadd.pem');
    await run(`chmod 600 /root/tls.key; chmod 644 /etc/uploadd.pem; mkdir ${folder}`);
    await container.put(`${lines.join('\n')}\n`, `${folder}/tls.conf`);
    await run('systemctl daemon-reload');
    await run('systemctl restart incus-uploadd incus-uploadd-https.socket');
    // What root writes into the state directory the daemon can read.
    const token = await run('incus-uploadd token add ci --instance c1 2>/dev/null');
    const remote = 'NODE_EXTRA_CA_CERTS=/etc/uploadd.pem incus-upload --url https://127.0.0.1:8444';
    const push = async (shown: string, instance: string): Promise<number> => {
      const script = `echo far > far.txt; INCUS_UPLOAD_TOKEN=${shown} ${remote} push --wait far.txt ${instance}:/root/`;
      return (await container.tryRun(script, 'bob')).status;
    };
    assert.deepEqual([await push('', 'c1'), await push(token, 'c2'), await push(token, 'c1')], [77, 77, 0]);
    assert.equal(readFileSync(inInstance('/root/far.txt'), 'utf8'), 'far\n');
    assert.equal(await run('incus-upload info > /dev/null && echo open', 'alice'), 'open');
    await run(`rm -r ${folder}; systemctl daemon-reload; systemctl stop incus-uploadd-https.socket`);
    await run('systemctl restart incus-uploadd');
  });

  test('lets root look after the state directory of the daemon', async () => {
    await run('systemctl stop incus-uploadd.socket incus-uploadd');
    assert.match(await run('incus-uploadd fsck --repair'), /clean/);
    assert.equal(await run('find /var/lib/incus-upload ! -user incus-upload'), '');
    await run('systemctl start incus-uploadd.socket incus-uploadd');
    assert.equal(await show('ActiveState'), 'active');
  });

  test('has a watchdog that ends and starts a daemon that hangs', async () => {
    const folder = '/run/systemd/system/incus-uploadd.service.d';
    await run(`mkdir -p ${folder}; printf '[Service]\\nWatchdogSec=6s\\n' > ${folder}/watchdog.conf`);
    await run('systemctl daemon-reload; systemctl restart incus-uploadd');
    const pid = await show('MainPID');
    const fedAt = await show('WatchdogTimestampMonotonic');
    await eventually('it is fed', async () => (await show('WatchdogTimestampMonotonic')) !== fedAt);
    assert.equal(await show('MainPID'), pid);
    await run(`kill -STOP ${pid}; echo late > late.txt`);
    // The socket keeps it until the next daemon takes it.
    await run('echo late > late.txt; incus-upload push --wait late.txt c1:/root/', 'alice');
    assert.notEqual(await show('MainPID'), pid);
    assert.match(await run('journalctl --no-pager -u incus-uploadd'), /[Ww]atchdog timeout/);
    assert.equal(readFileSync(inInstance('/root/late.txt'), 'utf8'), 'late\n');
    await run(`rm -r ${folder}; systemctl daemon-reload; systemctl restart incus-uploadd`);
  });

  test('is upgraded with its queue, and refuses nobody meanwhile', async () => {
    const openSince = 'systemctl show -P ActiveEnterTimestampMonotonic incus-uploadd.socket';
    const before = await run(openSince);
    await pushDuring(() => run('dpkg -i /root/next.deb'));
    assert.equal(await run('incus-uploadd --version'), NEXT_VERSION);
    await run('dpkg -i --force-downgrade /root/incus-upload.deb');

    await container.disconnectIncus();
    const id = await run('echo kept > kept.txt; incus-upload push -q kept.txt c1:/root/', 'alice');
    await eventually('the status says why', async () =>
      /^1 job queued.*wait: /.test(await show('StatusText')),
    );
    await run('dpkg -i /root/next.deb');
    assert.match(await run('incus-upload info --json'), new RegExp(`"version":\\s*"${NEXT_VERSION}"`));
    assert.ok(!existsSync(inInstance('/root/kept.txt')));
    await container.connectIncus();
    await run(`incus-upload wait --timeout 60s ${id}`, 'alice');
    assert.equal(readFileSync(inInstance('/root/kept.txt'), 'utf8'), 'kept\n');
    assert.equal(await run(openSince), before);
  });

  test('keeps its queue when it is removed, and leaves nothing when it is purged', async () => {
    await container.disconnectIncus();
    const id = await run('echo again > again.txt; incus-upload push -q again.txt c1:/root/', 'alice');
    await run('dpkg --remove incus-upload');
    assert.notEqual(
      (await container.tryRun('systemctl is-active incus-uploadd.socket incus-uploadd')).status,
      0,
    );
    await run(`test ! -e ${SOCKET}; test ! -e /usr/lib/incus-upload; test -d /var/lib/incus-upload/journal`);
    await run('id incus-upload; test -e /etc/incus-upload/uploadd.yml');

    await container.connectIncus();
    await run('dpkg -i /root/incus-upload.deb');
    await run(`incus-upload wait --timeout 60s ${id}`, 'alice');
    assert.equal(readFileSync(inInstance('/root/again.txt'), 'utf8'), 'again\n');

    await run('systemctl enable incus-uploadd-https.socket; dpkg --purge incus-upload');
    const left = await run(
      "find / -xdev -path /proc -prune -o -path /root -prune -o -name '*incus-upload*' -print",
    );
    assert.equal(left, '');
    assert.equal(await run('find /run -name "*incus-upload*"'), '');
    assert.equal(await run('getent passwd incus-upload; getent group incus-upload; true'), '');
    assert.equal(await run('systemctl --failed --no-legend'), '');
  });
});
