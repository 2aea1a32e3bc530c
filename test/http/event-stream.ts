import { RawConnection, requestText } from './raw-exchange.ts';

export type StreamEvent = { readonly id: string | undefined; readonly event: string; readonly data: string };

/** An open GET /v1/events on a connection of its own. */
export class EventStream {
  readonly connection: RawConnection;
  readonly events: StreamEvent[] = [];
  #text = '';
  #begun = false;

  private constructor(connection: RawConnection) {
    this.connection = connection;
    connection.socket.on('data', (text: string) => this.#take(text));
  }

  static async open(
    address: string | number,
    query = '',
    headers: Record<string, string> = {},
  ): Promise<EventStream> {
    const connection = await RawConnection.open(address);
    const stream = new EventStream(connection);
    // HTTP/1.0 has no chunks, so what comes are the events themselves.
    const text = requestText('GET', `/v1/events${query}`, { Accept: 'text/event-stream', ...headers });
    connection.send(text.replace('HTTP/1.1', 'HTTP/1.0'));
    await connection.until(() => stream.#begun || connection.closed, 'the head of the stream');
    return stream;
  }

  async until(count: number): Promise<readonly StreamEvent[]> {
    await this.connection.until(
      () => this.events.length >= count,
      `${count} events, ${this.events.length} came`,
    );
    return this.events;
  }

  close(): void {
    this.connection.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    const blocks = this.#text.split('\n\n');
    this.#text = blocks.pop() ?? '';
    this.#begun ||= blocks.length > 0;
    for (const block of blocks) {
      const fields = new Map(
        block
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      );
      const data = fields.get('data');
      if (data !== undefined)
        this.events.push({ id: fields.get('id'), event: fields.get('event') ?? 'message', data });
    }
  }
}
