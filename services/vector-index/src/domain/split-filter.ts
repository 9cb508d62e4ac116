import { isJsonObject, type Json, MemplaneError } from '@memplane/contracts';
import { parseFilter } from '@memplane/filter';

type Document = { readonly [key: string]: Json };

export interface SplitFilter {
  /** About the memory's metadata. */
  readonly memory: Document | undefined;
  /** About the entity's attributes, without the prefix. */
  readonly entity: Document | undefined;
}

const PREFIX = 'entity.';

/**
 * Parts a search's filter into what is asked of the memories and what of their entities.
 * @throws MemplaneError `invalid_filter` where the two are joined by anything but "and"
 */
export function splitFilter(filter: Document, field: string): SplitFilter {
  const memory: Document[] = [];
  const entity: Document[] = [];
  split(filter, field, memory, entity, 0);
  const ofEntity = joined(entity);
  // The view check reads it too, but only where there are candidates to check.
  if (ofEntity !== undefined) parseFilter(ofEntity, { field });
  return { memory: joined(memory), entity: ofEntity };
}

function joined(parts: readonly Document[]): Document | undefined {
  if (parts.length === 0) return undefined;
  return parts.length === 1 ? parts[0] : { $and: [...parts] as Json[] };
}

const DEPTH_MAX = 64;

function split(
  filter: Document,
  field: string,
  memory: Document[],
  entity: Document[],
  depth: number,
): void {
  for (const [key, value] of Object.entries(filter)) {
    const part = { [key]: value };
    const kinds = subjects(part, depth);
    if (!kinds.entity) memory.push(part);
    else if (!kinds.memory) entity.push(strip(part) as Document);
    else if (key === '$and' && Array.isArray(value)) {
      value.forEach((item, i) => {
        split(item as Document, `${field}.$and[${i}]`, memory, entity, depth + 1);
      });
    } else {
      throw new MemplaneError(
        'invalid_filter',
        '`entity.` conditions can be joined with conditions on memories by $and only.',
        { field: `${field}.${key}` },
      );
    }
  }
}

function subjects(filter: Json, depth: number): { memory: boolean; entity: boolean } {
  const found = { memory: false, entity: false };
  // Deeper ones are refused by the parser of filters; here they only have to be passed on.
  if (depth > DEPTH_MAX || !isJsonObject(filter)) return { memory: true, entity: false };
  for (const [key, value] of Object.entries(filter)) {
    if (!key.startsWith('$')) {
      if (key.startsWith(PREFIX)) found.entity = true;
      else found.memory = true;
      continue;
    }
    for (const item of Array.isArray(value) ? value : [value]) {
      const inner = subjects(item, depth + 1);
      found.memory ||= inner.memory;
      found.entity ||= inner.entity;
    }
  }
  return found;
}

function strip(filter: Json): Json {
  if (!isJsonObject(filter)) return filter;
  const result: { [key: string]: Json } = {};
  for (const [key, value] of Object.entries(filter)) {
    if (key.startsWith('$')) result[key] = Array.isArray(value) ? value.map(strip) : strip(value);
    else result[key.slice(PREFIX.length)] = value;
  }
  return result;
}
