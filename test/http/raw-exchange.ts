import { connect, type Socket } from 'node:net';

/** A unix path or a port of 127.0.0.1. */
export type Address = string | number;

export type RawAnswer = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

const DEADLINE_MS = 20_000;

/** A bare connection: exact bytes out, answers in. Text stands for bytes, one latin1 character a byte. */
export class RawConnection {
  readonly socket: Socket;
  /** What came and is no whole answer yet. */
  rest = '';
  readonly answers: RawAnswer[] = [];
  closed = false;
  #changed: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.rest += text;
      for (let answer = this.#take(); answer !== undefined; answer = this.#take()) this.answers.push(answer);
      this.#tell();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#tell();
    });
  }

  static open(address: Address): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket =
        typeof address === 'number' ? connect({ host: '127.0.0.1', port: address }) : connect(address);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawConnection(socket));
      });
    });
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** The answer of that number, 0 the first, informational ones counted. */
  async answer(index: number): Promise<RawAnswer> {
    await this.until(() => this.answers.length > index || this.closed, `answer ${index}`);
    const answer = this.answers[index];
    if (answer === undefined) throw new Error(`Closed without answer ${index}; rest: ${this.rest}`);
    return answer;
  }

  async untilClosed(): Promise<void> {
    await this.until(() => this.closed, 'the end of the connection');
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    while (!condition()) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error(`No ${what} in ${DEADLINE_MS} ms; rest: ${JSON.stringify(this.rest)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  #tell(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const wake of changed) wake();
  }

  #take(): RawAnswer | undefined {
    const end = this.rest.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    const [statusLine = '', ...lines] = this.rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    if (!(status >= 100)) throw new Error(`Not a status line: ${JSON.stringify(statusLine)}`);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    if (headers.has('transfer-encoding')) throw new Error('The answer is chunked');
    const length = status < 200 ? 0 : Number(headers.get('content-length') ?? 0);
    const start = end + 4;
    if (this.rest.length < start + length) return undefined;
    const body = Buffer.from(this.rest.slice(start, start + length), 'latin1').toString('utf8');
    this.rest = this.rest.slice(start + length);
    return { status, headers, body };
  }
}

/** Sends bytes on a connection of their own and resolves to the first answer that is not informational. */
export async function exchange(address: Address, bytes: string | Buffer): Promise<RawAnswer> {
  const connection = await RawConnection.open(address);
  try {
    connection.send(bytes);
    for (let i = 0; ; i += 1) {
      const answer = await connection.answer(i);
      if (answer.status >= 200) return answer;
    }
  } finally {
    connection.destroy();
  }
}

/** A request as text; the body's length is declared unless the headers say how it is framed. */
export function requestText(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): string {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const framed = names.includes('content-length') || names.includes('transfer-encoding');
  const all = {
    ...(names.includes('host') ? {} : { Host: 'localhost' }),
    ...headers,
    ...(framed || (body === '' && method !== 'POST' && method !== 'PUT')
      ? {}
      : { 'Content-Length': String(Buffer.byteLength(body, 'latin1')) }),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}
