import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, figure, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { addMany } from './add-many.ts';
import { Fleet, HEARTBEAT_MS, OPERATOR, SYNC_MS } from './fleet.ts';
import { Load } from './load.ts';
import { Memory } from './memory.ts';
import { whyNoNamespaces } from './namespace.ts';
import { checkEqual, newFigures } from './round.ts';
import { readSet } from './values.ts';

const IDS = ['a', 'b', 'c', 'd', 'e'];
const LOADED_MS = 1_500;
const ELEMENTS = scaled('replicas_large_set_elements', { ci: 10_000, soak: 100_000 });
const LARGE_MS_MAX = 60_000;
/** The goal is a second, on a machine that does nothing else; the figure tells. */
const ONE_MORE_MS_MAX = 10_000;
const skip = (await whyNoNamespaces()) ?? false;

describe('replicas that come and go', { skip }, () => {
  const memory = new Memory();
  const figures = newFigures();
  let random: Seeded;
  let fleet: Fleet;
  let load: Load;

  before(async () => {
    random = testSeed('coming replicas');
    fleet = await Fleet.start(IDS);
    load = new Load(fleet, memory);
  });
  after(() => fleet?.[Symbol.asyncDispose]());

  /** All of them are changed for a while, and equal after it. */
  async function loadAndCheck(ids: readonly string[]): Promise<void> {
    load.start(random.fork(memory.epoch), ids);
    await sleep(LOADED_MS);
    await load.stop();
    await checkEqual({ fleet, load, memory, figures });
  }

  it('get everything again when what they had was deleted while they were down', async () => {
    await loadAndCheck(IDS);
    await fleet.end('e', 'SIGKILL');
    await fleet.deleteFolder('e');
    load.emptied('e');
    load.start(random.fork(100), IDS);
    await sleep(LOADED_MS);
    await fleet.start('e');
    await fleet.allSeeAll();
    await load.stop();
    await checkEqual({ fleet, load, memory, figures });
    const tookMs = Math.round(figures.equal.at(-1) ?? 0);
    figure('an emptied replica has all, once it is seen', tookMs, 'ms');
    await loadAndCheck(IDS);
  });

  it('get everything when they are new, under load', async () => {
    await fleet.net.add('f');
    load.start(random.fork(101), IDS);
    await sleep(LOADED_MS);
    await fleet.start('f');
    await fleet.allSeeAll();
    await load.stop();
    await checkEqual({ fleet, load, memory, figures });
    figure('a sixth replica has all, once it is seen', Math.round(figures.equal.at(-1) ?? 0), 'ms');
    await loadAndCheck(fleet.ids);
  });

  it('are refused when they are forgotten, and come again as new ones', async () => {
    const options = { headers: OPERATOR };
    const { status, text } = await fleet.at('a').ask('POST', '/v1/members/f/forget', options);
    assert.equal(status, 200, text);
    // While it begins anew, nobody answers.
    await eventually('f has another id', 20_000, async () => {
      const members = await fleet
        .at('f')
        .members()
        .catch(() => []);
      const own = members.find(({ self }) => self)?.replica ?? 'f';
      return own !== 'f' || undefined;
    });
    await eventually('nobody lists f', 5_000, async () => {
      const lists = await Promise.all(IDS.map((id) => fleet.at(id).members()));
      return lists.every((list) => !list.some(({ replica }) => replica === 'f')) || undefined;
    });
    const count = (id: string, name: string) =>
      fleet.at(id).ask('POST', `/v1/counters/${name}/increments`, { body: { by: 1 } });
    await Promise.all([count('f', 'of-the-new-one'), count('a', 'of-the-others')]);
    const value = async (id: string, name: string) =>
      (await fleet.at(id).get<{ value: number }>(`/v1/counters/${name}`)).value;
    for (const name of ['of-the-new-one', 'of-the-others']) {
      await eventually(`${name} is at all`, 20_000, async () => {
        const values = await Promise.all([...IDS, 'f'].map((id) => value(id, name)));
        return values.every((one) => one === 1) || undefined;
      });
    }
    await fleet.end('f', 'SIGTERM');
    await sleep(4 * HEARTBEAT_MS + 10 * SYNC_MS);
    for (const id of IDS) {
      const standing = (await fleet.at(id).alerts()).filter(({ clearedAt }) => !clearedAt);
      assert.deepEqual(standing, [], `alerts of ${id}`);
    }
  });

  it(`have a set of ${ELEMENTS} elements that one was given`, async () => {
    const elements = Array.from({ length: ELEMENTS }, (_, i) => `element-${i}`);
    const startMs = performance.now();
    await addMany(fleet.respOf('a'), 'large', elements);
    const addedMs = performance.now();
    for (const { id } of fleet.all) await hasElements(id, ELEMENTS);
    figure(`${ELEMENTS} elements are added`, Math.round(addedMs - startMs), 'ms');
    figure('and are at all after', Math.round(performance.now() - addedMs), 'ms');
    await fleet.allHaveOneDigest(LARGE_MS_MAX);
    await addOneMore('b');
  });

  it('get a large set again when it was deleted while they were down', async () => {
    await fleet.end('e', 'SIGKILL');
    await fleet.deleteFolder('e');
    load.emptied('e');
    await fleet.start('e');
    await fleet.allSeeAll();
    const seenMs = performance.now();
    await hasElements('e', ELEMENTS + 1);
    const tookMs = Math.round(performance.now() - seenMs);
    figure(`an emptied replica has ${ELEMENTS} elements, once it is seen`, tookMs, 'ms');
    await addOneMore('e');
    await loadAndCheck(IDS);
  });

  async function hasElements(id: string, count: number): Promise<void> {
    await eventually(`${count} elements at ${id}`, LARGE_MS_MAX, async () => {
      return (await readSet(fleet.at(id), 'large')).length === count || undefined;
    });
  }

  /** To the large set; it is soon at all. */
  async function addOneMore(id: string): Promise<void> {
    const element = `one more at ${id}`;
    const options = { body: { element } };
    const { status, text } = await fleet.at(id).ask('POST', '/v1/sets/large/adds', options);
    assert.equal(status, 200, text);
    const startMs = performance.now();
    // Few are behind this in the order of bytes.
    const page = `/v1/sets/large?limit=10&cursor=${encodeURIComponent('one more')}`;
    const waits = fleet.all.map((replica) =>
      eventually(`${element}: at ${replica.id}`, ONE_MORE_MS_MAX, async () => {
        const { elements } = await replica.get<{ elements: string[] }>(page);
        return elements.includes(element) || undefined;
      }),
    );
    await Promise.all(waits);
    figure('one more is at all after', Math.round(performance.now() - startMs), 'ms');
  }
});
