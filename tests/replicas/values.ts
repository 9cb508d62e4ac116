import type { Replica } from './replica.ts';

/** All that a replica answers for the names of this test. */
export interface Values {
  readonly counters: ReadonlyMap<string, number>;
  /** In the order of their bytes. */
  readonly sets: ReadonlyMap<string, readonly string[]>;
  /** As JSON; one that nobody wrote is missing. */
  readonly registers: ReadonlyMap<string, string>;
}

export interface Names {
  readonly counters: readonly string[];
  readonly sets: readonly string[];
  readonly registers: readonly string[];
}

export async function readValues(replica: Replica, names: Names): Promise<Values> {
  const counters = new Map<string, number>();
  for (const name of names.counters) {
    counters.set(name, (await replica.get<{ value: number }>(`/v1/counters/${name}`)).value);
  }
  const sets = new Map<string, readonly string[]>();
  for (const name of names.sets) sets.set(name, await readSet(replica, name));
  const registers = new Map<string, string>();
  for (const name of names.registers) {
    const { status, body, text } = await replica.ask<{ value: unknown }>(
      'GET',
      `/v1/registers/${name}`,
    );
    if (status === 200) registers.set(name, JSON.stringify(body.value));
    else if (status !== 404) throw new Error(`${replica.id}: ${status} ${text.slice(0, 500)}`);
  }
  return { counters, sets, registers };
}

export async function readSet(replica: Replica, name: string): Promise<string[]> {
  const elements: string[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
    const path = `/v1/sets/${name}${query}`;
    const page = await replica.get<{ elements: string[]; nextCursor?: string }>(path);
    elements.push(...page.elements);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return elements;
}

/** As text that is the same where the values are. */
export function textOf({ counters, sets, registers }: Values): string {
  return JSON.stringify([[...counters], [...sets], [...registers]]);
}
