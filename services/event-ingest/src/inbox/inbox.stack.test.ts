import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type AppendAnswer, MemplaneError, TOPICS } from '@memplane/contracts';
import { DaprPublisher, type SidecarConfig } from '@memplane/runtime/dapr';
import type { ServerProcess } from '@memplane/stack';
import { IngestStack, type Instance, OPERATOR, type StoredEvent } from './inbox-stack.ts';

// event-ingest as it runs in the distributed plane: two processes on a real log, beside sidecars.
const CLI = fileURLToPath(
  new URL('../../../../packages/standalone/src/memplane.ts', import.meta.url),
);
const WAIT_MS = 60_000;

const stack = new IngestStack();
let one: Instance;
let two: Instance;
let agent: SidecarConfig;
let publisher: DaprPublisher;

before(async () => {
  await stack.start();
  const starting = [stack.instance('ingest-1'), stack.instance('ingest-2')] as const;
  const sidecar = stack.sidecar('agent');
  [one, two] = await Promise.all(starting);
  agent = {
    url: `http://127.0.0.1:${(await sidecar).httpPort}`,
    apiToken: stack.tokens.apiTokens.agent,
    appToken: stack.tokens.appTokens.agent,
  };
  publisher = new DaprPublisher(agent);
});
after(() => stack[Symbol.asyncDispose]());

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, `${what}: not in ${WAIT_MS} ms`);
    await sleep(100);
  }
}

const of = (events: readonly StoredEvent[], entity: string) =>
  events.filter(({ event }) => event['subject'] === entity).map(({ event }) => event);

/** Waits until the entity's events are there. */
const arrived = (entity: string, count: number) =>
  until(`${count} events of ${entity}`, async () => {
    const found = of(await stack.events(), entity);
    return found.length >= count ? found : undefined;
  });

async function append(to: Instance, body: unknown) {
  const started = performance.now();
  const response = await fetch(`${to.url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${OPERATOR}` },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as AppendAnswer;
  return { status: response.status, answer, ms: performance.now() - started };
}

async function cli(...args: string[]): Promise<{ code: number; lines: Record<string, unknown>[] }> {
  const env = { ...process.env, MEMPLANE_TOKEN: OPERATOR };
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [CLI, 'dead-letters', ...args, '--json', '--url', one.url],
      { env },
    );
    return { code: 0, lines: linesOf(stdout) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    assert.ok(typeof code === 'number', stderr);
    return { code, lines: linesOf(stdout) };
  }
}

const linesOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('invoked or published, in either form, an event reaches the log once', async () => {
  const entity = 'user/forms';
  const trace = `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`;
  const short = { id: 'a', type: 'Said', entity, data: { n: 1 } };
  const invoke = (body: unknown) =>
    fetch(`${agent.url}/v1.0/invoke/event-ingest/method/v1/events`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'dapr-api-token': agent.apiToken,
        traceparent: trace,
      },
      body: JSON.stringify(body),
    });
  assert.equal((await invoke(short)).status, 201);
  // The same again, by the other way; then what only the envelope names.
  await publisher.publish(TOPICS.inbox, [
    { key: entity, value: short },
    { key: entity, value: { type: 'Said', entity, data: { n: 2 } } },
  ]);
  const own = {
    specversion: '1.0',
    id: 'c',
    source: '/billing',
    type: 'InvoicePaid',
    subject: entity,
    data: { amount: 3 },
  };
  await publisher.publish(TOPICS.inbox, [{ key: entity, value: own, isCloudEvent: true }]);
  const isThere = (id: string) =>
    until(id, async () => of(await stack.events(), entity).find((event) => event['id'] === id));
  await isThere('c');
  // Past the sidecars, which would choose another partition for the same key.
  const last = { id: 'd', type: 'Said', entity, source: 'me' };
  await stack.produce(TOPICS.inbox, [{ key: entity, value: JSON.stringify(last) }]);
  await isThere('d');
  const events = of(await stack.events(), entity);
  const firsts = events.filter(({ id }, i) => events.findIndex((e) => e['id'] === id) === i);
  assert.deepEqual(
    firsts.map(({ type, source, data }) => [type, source, data]),
    [
      ['Said', 'agent', { data: { n: 1 } }],
      ['Said', 'agent', { data: { n: 2 } }],
      ['InvoicePaid', '/billing', { data: { amount: 3 } }],
      ['Said', 'me', {}],
    ],
  );
  assert.match(String(firsts[0]?.['traceparent']), new RegExp(`^00-${'c'.repeat(32)}-`));
  assert.match(String(firsts[1]?.['id']), /^[0-9a-f-]{36}$/);
  assert.equal(new Set(events.map(({ digest }) => digest)).size, 4);
});

test('bad messages are kept with their reason, and the rest arrives in order', async () => {
  const key = 'user/bad';
  const good = (n: number) => ({ id: `g${n}`, type: 'Said', entity: key, data: { n } });
  const text = (value: unknown) => JSON.stringify(value);
  const bad: readonly [string, string][] = [
    ['not JSON {', 'invalid_json'],
    ['"a text"', 'invalid_event'],
    [text([good(99)]), 'invalid_event'],
    [text({ ...good(98), type: 5 }), 'invalid_event'],
    [text({ ...good(97), unknown: true }), 'invalid_event'],
    [text({ ...good(96), entity: 'no entity' }), 'invalid_event'],
    [text({ ...good(95), data: 'x'.repeat(600_000) }), 'event_too_large'],
    [text({ ...good(0), data: { other: true } }), 'id_reused'],
    [text({ ...good(94), expectedSequence: 3 }), 'zone_not_strong'],
    [`${'['.repeat(5_000)}${']'.repeat(5_000)}`, 'too_deep'],
  ];
  const messages = bad.flatMap(([value], n) => [
    { key, value: text(good(n)) },
    { key, value },
  ]);
  await stack.produce(TOPICS.inbox, [...messages, { key, value: text(good(bad.length)) }]);
  const events = await arrived(key, bad.length + 1);
  assert.deepEqual(
    events.map(({ id }) => id),
    Array.from({ length: bad.length + 1 }, (_, n) => `g${n}`),
  );
  const letters = await until('the dead letters', async () => {
    const { lines } = await cli();
    // A message that comes again, as after a rebalancing, leaves another one.
    const mine = lines.filter((letter) => letter['key'] === key);
    const distinct = new Map(
      mine.map((letter) => [`${letter['bytes']} ${letter['text']}`, letter]),
    );
    return distinct.size >= bad.length ? [...distinct.values()] : undefined;
  });
  const reasonOf = (letter: Record<string, unknown>) =>
    letter['reason'] as { code: string; detail: string; field?: string };
  assert.deepEqual(
    letters.map((letter) => reasonOf(letter).code),
    bad.map(([, code]) => code),
  );
  assert.equal(letters[0]?.['text'], 'not JSON {');
  assert.equal(reasonOf(letters[3] ?? {}).field, 'message.type');
  assert.equal(letters[6]?.['bytes'], Buffer.byteLength(bad[6]?.[0] ?? ''));
  // Too large for the topic: its publisher is told at once.
  const huge = { key, value: { ...good(50), data: 'x'.repeat(5 * 1024 * 1024) } };
  await assert.rejects(publisher.publish(TOPICS.inbox, [huge]), (error) => {
    assert.ok(error instanceof MemplaneError);
    return error.code === 'body_too_large';
  });
});

test('dead letters are re-driven by an operator, and by nobody else', async () => {
  const key = 'user/redrive';
  const event = { id: 'r1', type: 'Said', entity: key };
  const wrong = { ...event, memory: { id: 'm', embedding: { model: 'x', values: [1, 2] } } };
  await publisher.publish(TOPICS.inbox, [
    { key, value: wrong },
    { key, value: { ...event, id: 'r2' } },
  ]);
  await arrived(key, 1);
  const letter = await until('the dead letter', async () =>
    (await cli()).lines.find((one) => one['key'] === key),
  );
  assert.equal((letter['reason'] as { code: string }).code, 'wrong_dimensions');
  const place = `${letter['partition']}/${letter['offset']}`;
  // As it is it is refused again.
  const refused = await cli('redrive', place);
  assert.equal(refused.code, 5);
  assert.equal(refused.lines[0]?.['outcome'], 'refused');
  // Mended, it is appended, behind what came after it.
  const mended = await cli('redrive', place, '--event', JSON.stringify(event));
  assert.deepEqual(
    mended.lines.map(({ outcome }) => outcome),
    ['appended'],
  );
  const events = await arrived(key, 2);
  assert.deepEqual(
    events.map(({ id, source }) => [id, source]),
    [
      ['r2', 'agent'],
      ['r1', 'anonymous'],
    ],
  );
  const again = (await cli()).lines.find((one) => one['key'] === key);
  assert.match(String(again?.['redrivenAt']), /^\d{4}-/);

  const direct = await fetch(`${two.url}/v1/dead-letters`);
  assert.equal(direct.status, 401, await direct.text());
  const path = 'v1.0/invoke/event-ingest/method/v1/dead-letters';
  for (const [method, target] of [
    ['GET', path],
    ['POST', `${path}/redrives`],
  ] as const) {
    const headers = { 'dapr-api-token': agent.apiToken, 'content-type': 'application/json' };
    const answer = await fetch(`${agent.url}/${target}`, { method, headers });
    assert.equal(answer.status, 403, await answer.text());
  }
  assert.equal((await cli('redrive', '0/999999')).lines[0]?.['outcome'], 'refused');
  assert.equal((await cli('redrive')).code, 2);
});

test('published events survive the services and the sidecars, killed in turn', async () => {
  const KEYS = 40;
  const EACH = 50;
  const entityOf = (k: number) => `user/kill-${k}`;
  let isPublished = false;
  const victims = [
    one.process,
    stack.server('ingest-2-dapr'),
    two.process,
    stack.server('ingest-1-dapr'),
  ];
  const killing = (async () => {
    const kills: string[] = [];
    for (let round = 0; !isPublished || kills.length < 6; round++) {
      const victim = victims[round % victims.length] as ServerProcess;
      await sleep(700);
      await victim.kill();
      kills.push(victim.plan.name);
      await sleep(1_500);
      await victim.start();
    }
    return kills;
  })();
  for (let n = 0; n < EACH; n++) {
    const entries = Array.from({ length: KEYS }, (_, k) => ({
      key: entityOf(k),
      // One in five has no id of its own: its delivery may be repeated all the same.
      value: {
        ...(n % 5 === 4 ? {} : { id: `e${n}` }),
        type: 'Said',
        entity: entityOf(k),
        data: { n },
      },
    }));
    await publisher.publish(TOPICS.inbox, entries);
    await sleep(100);
  }
  isPublished = true;
  const kills = await killing;
  const started = performance.now();
  const events = await until('all of them', async () => {
    const found = (await stack.events()).filter(({ event }) =>
      String(event['subject']).startsWith('user/kill-'),
    );
    const ids = new Set(found.map(({ event }) => `${event['subject']} ${event['id']}`));
    return ids.size >= KEYS * EACH ? found : undefined;
  });
  let second = 0;
  for (let k = 0; k < KEYS; k++) {
    const seen = new Set<unknown>();
    const applied: number[] = [];
    for (const event of of(events, entityOf(k))) {
      if (seen.has(event['id'])) second++;
      else applied.push((event['data'] as { data: { n: number } }).data.n);
      seen.add(event['id']);
    }
    // As every view applies them: the first of each id, in the order of the partition.
    assert.deepEqual(
      applied,
      Array.from({ length: EACH }, (_, n) => n),
      entityOf(k),
    );
  }
  const { lines } = await cli();
  assert.deepEqual(
    lines.filter(({ key }) => String(key).startsWith('user/kill-')),
    [],
  );
  console.log(
    `killed: ${kills.join(', ')}; ${KEYS * EACH} events, ${second} of them twice in the log, ` +
      `the last there ${Math.round(performance.now() - started)} ms after the last restart`,
  );
});

test('a repetition is known to the other instance; without the store appends go on', async () => {
  const event = (id: string) => ({ id, type: 'Said', entity: 'user/ids' });
  const first = await append(one, event('x'));
  assert.equal(first.status, 201);
  const known = await until('the shared record', async () => {
    const { answer } = await append(two, event('x'));
    return answer.accepted[0]?.duplicate ? answer.accepted[0] : undefined;
  });
  assert.equal(known.duplicate, true);
  const { status } = await append(two, { ...event('x'), data: 'other' });
  assert.equal(status, 409);

  const redis = stack.server('redis');
  await redis.kill();
  let slowest = 0;
  for (let n = 0; n < 30; n++) {
    const { status, answer, ms } = await append(n % 2 === 0 ? one : two, event(`out-${n}`));
    assert.equal(status, 201);
    assert.equal(answer.accepted[0]?.duplicate, false);
    slowest = Math.max(slowest, ms);
    await sleep(50);
  }
  // What an instance has appended itself it still knows.
  assert.equal((await append(one, event('out-0'))).answer.accepted[0]?.duplicate, true);
  const metrics = await fetch(`${one.url}/metrics`, {
    headers: { authorization: `Bearer ${OPERATOR}` },
  });
  assert.match(await metrics.text(), /memplane_ingest_recent_ids_unknown_total\{.*find.*\} [1-9]/);
  assert.ok(slowest < 5_000, `an append took ${slowest} ms`);
  await redis.start();
  await until('the record again', async () => {
    const id = `back-${Math.random()}`;
    await append(one, event(id));
    await sleep(100);
    return (await append(two, event(id))).answer.accepted[0]?.duplicate ? true : undefined;
  });
  console.log(`without Redis the slowest append took ${Math.round(slowest)} ms`);
});

test('a log that is away holds messages up, and loses and reorders none', async () => {
  const key = 'user/outage';
  const kafka = stack.server('kafka');
  const message = (n: number) => ({
    key,
    value: { id: `o${n}`, type: 'Said', entity: key, data: { n } },
  });
  await publisher.publish(
    TOPICS.inbox,
    Array.from({ length: 20 }, (_, n) => message(n)),
  );
  kafka.pause();
  await sleep(6_000);
  kafka.resume();
  await publisher.publish(
    TOPICS.inbox,
    Array.from({ length: 20 }, (_, n) => message(20 + n)),
  );
  const events = await until('all of them', async () => {
    const found = of(await stack.events(), key);
    return new Set(found.map(({ id }) => id)).size === 40 ? found : undefined;
  });
  const firsts = events.filter(({ id }, i) => events.findIndex((e) => e['id'] === id) === i);
  assert.deepEqual(
    firsts.map(({ id }) => id),
    Array.from({ length: 40 }, (_, n) => `o${n}`),
  );
});
