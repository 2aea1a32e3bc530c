import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { CodedError, messageOf } from '../errors.ts';
import type { Config } from './config.ts';

/** What `https.createServer` needs of the configuration. */
export type TlsOptions = {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: 'TLSv1.2';
  readonly ca?: Buffer;
  readonly requestCert?: true;
  readonly rejectUnauthorized?: true;
};

/** Reads certificate, key and client CA; null when no certificate is configured. Failures are `config_invalid`. */
export async function readTlsOptions({ tlsCert, tlsKey, tlsClientCa }: Config): Promise<TlsOptions | null> {
  if (tlsCert === null || tlsKey === null) return null;
  try {
    const cert = await readFile(tlsCert);
    const key = await readFile(tlsKey);
    const ca = tlsClientCa === null ? undefined : await readFile(tlsClientCa);
    // Said now, with the files' names, rather than at the first connection.
    createSecureContext({ cert, key, ca });
    return {
      cert,
      key,
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
    };
  } catch (error) {
    const files = [tlsCert, tlsKey, ...(tlsClientCa === null ? [] : [tlsClientCa])].join(', ');
    throw new CodedError('config_invalid', `cannot use the TLS files ${files}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
