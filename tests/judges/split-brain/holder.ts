/**
 * A holder that believes: it takes a lease, appends with its token for as long as it is let in, and
 * looks at no clock. Told that its token is behind, it insists. Writes down what it was answered, a
 * line of JSON each, until it is killed.
 *
 *     node holder.ts NAME LEASE ENTITY TTL_MS URL…
 */
import { type Answer, call, LostAnswer } from '@memplane/testkit';

const [name, lease, entity, ttl, ...urls] = process.argv.slice(2);
const ttlMs = Number(ttl);
const WAIT_MS = 2_000;
const TIMEOUT_MS = 4_000;
const PAUSE_MS = 5;
/** Times that a refused holder tries all the same. */
const INSISTS = 10;
const APPENDS_MAX = 200;
const headers = { authorization: `Bearer ${process.env['MEMPLANE_TOKEN']}` };

let asked = 0;
for (let round = 0; ; round++) {
  const token = await acquire(round);
  if (token === undefined) await pause(PAUSE_MS);
  else await believe(token);
}

async function acquire(round: number): Promise<number | undefined> {
  const body = { holder: `${name}-${round}`, ttlMs, waitMs: WAIT_MS, entities: [entity] };
  const answer = await ask('PUT', `/v1/leases/${lease}`, body);
  if (answer?.status !== 200) return undefined;
  const { fencingToken } = answer.body as { readonly fencingToken: number };
  write({ kind: 'granted', token: fencingToken });
  return fencingToken;
}

/** Ends by a release, now and then; else when it was refused often enough. */
async function believe(token: number): Promise<void> {
  const appends = Math.ceil(Math.random() * APPENDS_MAX);
  let refusals = 0;
  for (let n = 0; n < appends && refusals < INSISTS; n++) {
    if ((await append(token)) === 'refused') refusals++;
    await pause(PAUSE_MS);
  }
  if (refusals === 0) await ask('DELETE', `/v1/leases/${lease}?fencingToken=${token}`);
}

async function append(token: number): Promise<'accepted' | 'refused' | 'unknown'> {
  const sentNs = now();
  const body = { type: 'Believed', entity, data: { token }, lease, fencingToken: token };
  const answer = await ask('POST', '/v1/events', body);
  if (answer?.status === 201) {
    write({ kind: 'accepted', token, sentNs });
    return 'accepted';
  }
  if (answer?.status !== 409) return 'unknown';
  write({ kind: 'refused', token, sentNs });
  return 'refused';
}

/** Undefined where no answer came. */
async function ask(method: string, path: string, body?: unknown): Promise<Answer | undefined> {
  const url = urls[asked++ % urls.length] + path;
  try {
    return await call(method, url, { headers, body, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    if (error instanceof LostAnswer) return undefined;
    throw error;
  }
}

function write(line: object): void {
  process.stdout.write(`${JSON.stringify({ ...line, atNs: now() })}\n`);
}

/** Of one steady clock for all processes of the machine. */
function now(): number {
  return Number(process.hrtime.bigint());
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
