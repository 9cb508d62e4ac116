import {
  type AppendAnswer,
  chunks,
  type ExpectedState,
  entityPath,
  expectStatus,
  forEachAtMost,
  LostAnswer,
  readEntity,
  type Seeded,
  type ShortEventLike,
  sameJson,
} from '@memplane/testkit';

export interface ImportResult {
  readonly accepted: number;
  readonly duplicates: number;
  readonly token: string;
}

/** Appends the events in order, in batches, each after the answer to the one before. */
export async function importInOrder(
  ingest: string,
  events: readonly ShortEventLike[],
  batchEvents = 500,
): Promise<ImportResult> {
  let accepted = 0;
  let duplicates = 0;
  let token = '';
  for (const body of chunks(events, batchEvents)) {
    const answer = await append(ingest, body);
    accepted += answer.accepted.length;
    duplicates += answer.accepted.filter((one) => one.duplicate).length;
    token = answer.token;
  }
  return { accepted, duplicates, token };
}

/** Appends until the connection breaks; says how many events were acknowledged. */
export async function importUntilCut(
  ingest: string,
  events: readonly ShortEventLike[],
  batchEvents: number,
  onAcknowledged: (events: number) => void,
): Promise<number> {
  let done = 0;
  for (const body of chunks(events, batchEvents)) {
    try {
      await append(ingest, body);
    } catch (error) {
      if (error instanceof LostAnswer) return done;
      throw error;
    }
    done += body.length;
    onAcknowledged(done);
  }
  return done;
}

/**
 * Appends over several connections, entities shuffled against each other; an entity's own events
 * keep their order because one connection sends them, each batch after the answer to the last.
 */
export async function importShuffled(
  ingest: string,
  events: readonly ShortEventLike[],
  connections: number,
  random: Seeded,
): Promise<string[]> {
  const lanes: ShortEventLike[][] = Array.from({ length: connections }, () => []);
  const byEntity = Map.groupBy(events, (event) => event.entity);
  const perLane: ShortEventLike[][][] = Array.from({ length: connections }, () => []);
  for (const [i, list] of random.shuffle([...byEntity.values()]).entries()) {
    perLane[i % connections]?.push([...list]);
  }
  for (const [i, open] of perLane.entries()) {
    while (open.length > 0) {
      const at = random.int(0, open.length - 1);
      const next = open[at]?.shift();
      if (next === undefined) open.splice(at, 1);
      else lanes[i]?.push(next);
    }
  }
  const tokens: string[] = [];
  await forEachAtMost(connections, lanes, async (lane) => {
    for (let at = 0; at < lane.length; ) {
      const size = random.int(1, 120);
      tokens.push((await append(ingest, lane.slice(at, at + size))).token);
      at += size;
    }
  });
  return tokens;
}

/** Reads every expected state `asOf` its event and lists those that differ. */
export async function differingStates(
  materializer: string,
  expected: readonly ExpectedState[],
): Promise<string[]> {
  const wrong: string[] = [];
  await forEachAtMost(8, expected, async ({ entity, after, attributes }) => {
    const view = await readEntity(materializer, entity, { asOf: `event:${after}`, waitMs: 20_000 });
    if (!sameJson(view.attributes, attributes)) {
      wrong.push(
        `${entityPath(entity)} as of ${after}: ${JSON.stringify(view.attributes)}, ` +
          `expected ${JSON.stringify(attributes)}`,
      );
    }
  });
  return wrong;
}

function append(ingest: string, events: readonly ShortEventLike[]): Promise<AppendAnswer> {
  return expectStatus<AppendAnswer>(201, 'POST', `${ingest}/v1/events`, { body: events });
}
