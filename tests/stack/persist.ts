import { type Answer, call, eventually } from '@memplane/testkit';

/**
 * What a plane through a sidecar may answer while a part of it is gone: too much, not now, too late,
 * and the sidecar's own 500 for a service that is not there.
 */
export function isPassing(answer: Answer): boolean {
  if ([429, 502, 503, 504].includes(answer.status)) return true;
  return answer.status === 500 && answer.text.includes('ERR_DIRECT_INVOKE');
}

/**
 * Repeats a call until it is no longer refused for a reason that passes.
 * @throws Error with the last answer past the deadline, or with an answer that will not change
 */
export async function persist<T>(
  status: number,
  method: string,
  url: string,
  options: Parameters<typeof call>[2] & { deadlineMs?: number } = {},
): Promise<T> {
  const { deadlineMs = 60_000, ...rest } = options;
  let last = '';
  return eventually(
    `${method} ${url.slice(0, 200)}`,
    deadlineMs,
    async () => {
      const answer = await call<T>(method, url, { timeoutMs: 15_000, ...rest }).catch(
        (error: Error) => error,
      );
      if (answer instanceof Error) {
        last = answer.message;
        return undefined;
      }
      if (answer.status === status) return { body: answer.body };
      last = `${answer.status} ${answer.text.slice(0, 500)}`;
      if (isPassing(answer)) return undefined;
      throw new Error(`${method} ${url.slice(0, 300)}: expected ${status}, got ${last}`);
    },
    50,
  ).then(
    ({ body }) => body,
    (error: Error) => {
      throw new Error(`${error.message}; last: ${last}`);
    },
  );
}
