/** The recorded session of the README. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { terminalSvg } = (await import(new URL('../scripts/terminal-svg.js', import.meta.url).href)) as {
  terminalSvg(
    frames: readonly {
      screen: string;
      cursor: { column: number; row: number } | undefined;
      durationMs: number;
    }[],
    options: { columns: number; rows: number; title: string; still: number },
  ): string;
};

test('terminalSvg() draws words where they stand, and rows that occur again once', () => {
  const svg = terminalSvg(
    [
      {
        screen: '\u001b[32m$\u001b[0m a <b>\n\u001b[7mx  y\n',
        cursor: { column: 3, row: 0 },
        durationMs: 100,
      },
      { screen: '\u001b[32m$\u001b[0m a <b>\n', cursor: undefined, durationMs: 300 },
    ],
    { columns: 10, rows: 2, title: 'A & B', still: 1 },
  );
  assert.equal(svg.match(/a &lt;b>/g)?.length, 1);
  assert.equal(svg.match(/<use href="#r0"/g)?.length, 2);
  assert.match(svg, /style="fill:#3fb950">\$</);
  assert.match(svg, /<title>A &amp; B<\/title>/);
  assert.match(svg, /@keyframes s\{0%\{transform:translateX\(0px\)\}25%\{transform:translateX\(-112px\)\}\}/);
  assert.match(svg, /transform:translateX\(-112px\);animation:s 400ms/);
});

test('the README shows a session, of nobody in particular', () => {
  assert.match(readFileSync(`${root}/README.md`, 'utf8'), /!\[[^\]]+\]\(docs\/session\.svg\)/);
  const svg = readFileSync(`${root}/docs/session.svg`, 'utf8');
  for (const shown of ['push --wait image.tar', 'There is no instance wbe', 'jobs --watch', 'q leave'])
    assert.ok(svg.includes(shown), shown);
  for (const [path] of svg.matchAll(/\/(?:home|work|root|Users|var\/tmp|tmp)\/[\w.-]+/g))
    assert.equal(path, '/tmp/incus-upload-recording');
});
