/** Valid requests, and bytes made of them by seeded accident. */

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random: () => number, limit: number): number => Math.floor(random() * limit);

function pick<T>(random: () => number, from: readonly T[]): T {
  return from[below(random, from.length)] as T;
}

const DIGEST = 'Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n';

/** Requests as they should be; one latin1 character a byte. `number` makes keys differ. */
function validRequest(random: () => number, number: number): string {
  // Different paths, so that the deliveries need not wait for each other.
  const head = `Host: localhost\r\nX-Container-Name: web\r\nX-File-Path: /tmp/f${number}\r\nX-Host-Path: /home/me/f\r\n`;
  const variants: readonly (() => string)[] = [
    () => `POST /upload HTTP/1.1\r\n${head}Content-Length: 5\r\n\r\nhello`,
    () =>
      `PUT /upload HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\n`,
    () =>
      `POST /upload HTTP/1.1\r\n${head}${DIGEST}Content-Length: 5\r\nAccept: application/json\r\n\r\nhello`,
    () =>
      `POST /upload HTTP/1.1\r\n${head}Idempotency-Key: k${number >> 3}\r\nX-File-Mode: 0755\r\nX-File-Uid: 7\r\nContent-Length: 5\r\n\r\nhello`,
    () =>
      "POST /upload HTTP/1.1\r\nHost: x\r\nX-Container-Name: web\r\nX-File-Path*: UTF-8''/tmp/%C3%BC%20x\r\nContent-Length: 5\r\n\r\nhello",
    () => `POST /upload HTTP/1.1\r\n${head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`,
    () => `POST /upload HTTP/1.1\r\n${head}Content-Length: 70000\r\n\r\n${'z'.repeat(70_000)}`,
    () => 'GET /v1/jobs?state=delivered&instance=web&limit=3&after= HTTP/1.1\r\nHost: x\r\n\r\n',
    () => 'GET /v1/jobs/1k1031j4jzr?wait=0 HTTP/1.1\r\nHost: x\r\n\r\n',
    () => 'POST /v1/jobs/1k1031j4jzr/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
    () => 'GET /v1/info HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n',
    () => 'HEAD /healthz HTTP/1.0\r\n\r\n',
    () => 'GET http://localhost/readyz HTTP/1.1\r\nHost: localhost\r\n\r\n',
  ];
  return pick(random, variants)();
}

const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  '\t',
  ' ',
  ':',
  '%00',
  '%2e%2e/',
  '../',
  '//',
  '\x1b[2J',
  '\x7f',
  '\x80',
  '\xff\xfe',
  '\xed\xa0\x80',
  '\xc0\xae',
  '-1',
  '0x10',
  '99999999999999999999',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'X-File-Path: /etc/passwd\r\n',
  "X-Container-Name*: UTF-8''a%0d%0ab\r\n",
  'Expect: 100-continue\r\n',
  'Connection: close, Upgrade\r\nUpgrade: h2c\r\n',
  'X: y\r\n',
  'Authorization: Bearer iut_x\r\n',
  'HTTP/1.1',
  '0\r\n\r\n',
];

type Mutation = (text: string, random: () => number) => string;

const MUTATIONS: readonly Mutation[] = [
  // One bit turns.
  (text, random) => {
    const at = below(random, text.length);
    const turned = text.charCodeAt(at) ^ (1 << below(random, 8));
    return text.slice(0, at) + String.fromCharCode(turned) + text.slice(at + 1);
  },
  // One byte becomes any other.
  (text, random) => {
    const at = below(random, text.length);
    return text.slice(0, at) + String.fromCharCode(below(random, 256)) + text.slice(at + 1);
  },
  // A piece is lost.
  (text, random) => {
    const at = below(random, text.length);
    return text.slice(0, at) + text.slice(at + 1 + below(random, 12));
  },
  // A piece comes twice.
  (text, random) => {
    const at = below(random, text.length);
    const end = at + 1 + below(random, 40);
    return text.slice(0, end) + text.slice(at);
  },
  // Something known to hurt.
  (text, random) => {
    const at = below(random, Math.min(text.length, 400));
    return text.slice(0, at) + pick(random, TOKENS) + text.slice(at);
  },
  // A whole line of something known to hurt, among the headers.
  (text, random) => {
    const lines = text.split('\r\n');
    lines.splice(1 + below(random, Math.max(1, lines.length - 2)), 0, pick(random, TOKENS).trimEnd());
    return lines.join('\r\n');
  },
  // The rest is missing.
  (text, random) => text.slice(0, below(random, text.length)),
  // A run of one character.
  (text, random) => {
    const at = below(random, Math.min(text.length, 200));
    return (
      text.slice(0, at) +
      pick(random, ['x', '/', '\r\n', '%', '0']).repeat(1 + below(random, 3000)) +
      text.slice(at)
    );
  },
  // Two lines change places.
  (text, random) => {
    const lines = text.split('\r\n');
    const [a, b] = [below(random, lines.length), below(random, lines.length)];
    [lines[a], lines[b]] = [lines[b] ?? '', lines[a] ?? ''];
    return lines.join('\r\n');
  },
];

/** The bytes that go onto one connection: a request, or two in a row, changed in one to four places. */
export function hostileBytes(random: () => number, number: number): Buffer {
  let text = validRequest(random, number);
  if (random() < 0.1) text += validRequest(random, number);
  const changes = 1 + below(random, 4);
  for (let i = 0; i < changes && text.length > 0; i += 1) text = pick(random, MUTATIONS)(text, random);
  return Buffer.from(text, 'latin1');
}
