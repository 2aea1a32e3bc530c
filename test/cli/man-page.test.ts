/** incus-upload(1) says what the program takes, and its examples work. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createProgram } from '../../src/cli/program.ts';
import { ERRORS } from '../../src/errors.ts';
import { manExamples, manPage } from '../support/man-examples.ts';
import { skipUnless } from '../support/skip-unless.ts';

const page = manPage();

const program = createProgram(() => undefined);

/** Commands and the commands below them, by the words that are typed. */
const commands = program.commands.flatMap((command) => [
  [command.name(), command] as const,
  ...command.commands.map((below) => [`${command.name()} ${below.name()}`, below] as const),
]);

test('incus-upload(1) has every option and command of --help, and no other', () => {
  const options = new Set(
    [program, ...commands.map(([, command]) => command)].flatMap(({ options }) =>
      options.flatMap(({ long }) => long ?? []),
    ),
  );
  options.add('--help');
  const inPage = new Set(Array.from(page.matchAll(/--[a-z][a-z-]+/g), ([name]) => name));
  assert.deepEqual([...inPage].sort(), [...options].sort());
  const section = page.slice(page.indexOf('.SH COMMANDS'), page.indexOf('.SH OPTIONS'));
  for (const [words] of commands) assert.match(section, new RegExp(`^(?:\\.B )?${words}\\b`, 'm'));
});

test('incus-upload(1) has every option below its own command', () => {
  const sections = page.slice(page.indexOf('.SH OPTIONS'), page.indexOf('.SH OUTPUT')).split('.SS ');
  const global = new Set(program.options.map(({ long }) => long));
  for (const [words, command] of commands) {
    const section = sections.find((text) => text.startsWith(`${words}\n`)) ?? '';
    for (const { long, short } of command.options.filter((option) => !global.has(option.long))) {
      assert.ok(section.includes(long ?? ''), `${words} ${long}`);
      if (short !== undefined) assert.match(section, new RegExp(`${short}[" ,]`));
    }
  }
});

test('incus-upload(1) has every exit status', () => {
  const section = page.slice(page.indexOf('.SH "EXIT STATUS"'), page.indexOf('.SH ENVIRONMENT'));
  const inPage = Array.from(section.matchAll(/^\.B (\d+)$/gm), ([, status]) => Number(status));
  const inUse = new Set([0, ...Object.values(ERRORS).map(({ exit }) => exit)]);
  assert.deepEqual(
    inPage,
    [...inUse].sort((a, b) => a - b),
  );
});

test('the examples of incus-upload(1) pass shellcheck', skipUnless('shellcheck'), () => {
  const examples = manExamples();
  assert.ok(examples.length >= 5);
  for (const example of examples) {
    const { status, stdout } = spawnSync('shellcheck', ['-s', 'bash', '-'], {
      input: example,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
  }
});
