const TIMEOUT_MS = 3_000;

/** @throws Error when the answer is not a success, or there is none */
export async function checkHttp(url: string, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answers ${answer.status} ${text.slice(0, 200)}`);
}
