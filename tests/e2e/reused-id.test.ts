import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  expectStatus,
  Plane,
  ScratchFolder,
  type SearchAnswer,
  type SentEvent,
} from '@memplane/testkit';

const ENTITY = 'user/reuse';

test('an event that reuses an id, and that the views refused, hides no memory from recall', async () => {
  using folder = new ScratchFolder('reused-id');
  // Ingest forgets an id at once, so that the copies reach the log and the views have to judge.
  const env = { MEMPLANE_RECENT_IDS_MAX: '1' };
  await using plane = await Plane.start({ dataDir: folder.path, env });
  const append = async (event: Omit<SentEvent, 'type' | 'entity'>): Promise<AppendAnswer> => {
    const body = { type: 'Noted', entity: ENTITY, ...event } as SentEvent;
    return await expectStatus(201, 'POST', `${plane.ingest}/v1/events`, { body });
  };
  const first = { id: 'lamp', memory: { id: 'lamp', text: 'the brass lantern is lit' } };
  await append({ id: 'plain', attributes: { n: 1 } });
  await append(first);
  await append({ id: 'boat', memory: { id: 'boat', text: 'the ferry leaves at noon' } });
  for (const [i, copy] of [
    { id: 'plain', memory: { id: 'lamp', forgotten: true } },
    { id: 'plain', memory: { id: 'boat', text: 'the ferry never leaves' } },
    { id: 'lamp', memory: { id: 'lamp', text: 'the lantern is out' } },
    first,
  ].entries()) {
    await append({ id: `between-${i}`, attributes: { i } });
    const { accepted } = await append(copy as Omit<SentEvent, 'type' | 'entity'>);
    assert.equal(accepted[0]?.duplicate, false, 'it got past the window of recent ids');
  }
  const { token } = await append({ id: 'last', attributes: { n: 2 } });
  const found = async (text: string) => {
    const body = { text, entity: ENTITY, after: token, waitMs: 20_000 };
    const url = `${plane.vectors}/v1/search`;
    const { results } = await expectStatus<SearchAnswer>(200, 'POST', url, { body });
    return results.map(({ eventId }) => eventId);
  };
  assert.deepEqual(await found('lantern'), ['lamp']);
  assert.deepEqual(await found('ferry'), ['boat']);
});
