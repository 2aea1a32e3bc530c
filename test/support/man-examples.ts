import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PAGE = fileURLToPath(new URL('../../man/incus-upload.1', import.meta.url));

/** The page as text: escapes of dashes, quotes and fonts taken away. */
export function manPage(): string {
  return readFileSync(PAGE, 'utf8')
    .replaceAll('\\-', '-')
    .replaceAll('\\(aq', "'")
    .replaceAll(/\\f[A-Z]/g, '');
}

/** The scripts of its examples. */
export function manExamples(): string[] {
  return Array.from(manPage().matchAll(/^\.\\" example\n([\s\S]*?)^\.\\" end$/gm), ([, text]) => text ?? '');
}
