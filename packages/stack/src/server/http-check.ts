import { readFileSync } from 'node:fs';
import { request } from 'node:https';

const TIMEOUT_MS = 3_000;

/** @throws Error when the answer is not a success, or there is none */
export async function checkHttp(url: string, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answers ${answer.status} ${text.slice(0, 200)}`);
}

/**
 * The same of a server that has made its certificate itself.
 * @param certificateFile which the server may still have to write
 * @throws Error when the answer is not a success, or there is none
 */
export function checkHttps(
  url: string,
  certificateFile: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const ca = readFileSync(certificateFile);
  return new Promise((resolve, reject) => {
    const call = request(url, { ca, headers, timeout: TIMEOUT_MS }, (answer) => {
      answer.resume();
      if (answer.statusCode === 200) resolve();
      else reject(new Error(`${url} answers ${answer.statusCode}`));
    });
    call.once('timeout', () => call.destroy(new Error(`${url} does not answer`)));
    call.once('error', reject);
    call.end();
  });
}
