import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import type { Address } from './raw-exchange.ts';

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
};

export type RequestBody = string | Buffer | readonly Buffer[];

/** One request by Node's own client. A list of buffers goes chunked, in these chunks. */
export function request(
  address: Address,
  method: string,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly body?: RequestBody } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const where: RequestOptions =
      typeof address === 'number' ? { host: '127.0.0.1', port: address } : { socketPath: address };
    const body = options.body ?? (method === 'POST' || method === 'PUT' ? '' : undefined);
    const headers: Record<string, string> = { ...options.headers };
    if (typeof body === 'string' || body instanceof Buffer)
      headers['Content-Length'] ??= String(Buffer.byteLength(body));
    const sent = httpRequest({ ...where, method, path, headers, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
      res.on('error', reject);
    });
    sent.on('error', reject);
    if (Array.isArray(body)) for (const chunk of body as readonly Buffer[]) sent.write(chunk);
    else if (typeof body === 'string' || body instanceof Buffer) sent.write(body);
    sent.end();
  });
}

/** Sends one file. */
export function upload(
  address: Address,
  instance: string,
  path: string,
  body: RequestBody,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return request(address, 'POST', '/upload', {
    headers: { 'X-Container-Name': instance, 'X-File-Path': path, ...headers },
    body,
  });
}
