import { DEFAULT_TENANT, MemplaneError } from '@memplane/contracts';
import type { ZoneRule } from './zone-table.ts';

/** The table in force, as the strong store has it. */
export interface ZoneRecord {
  /** Of the table in force; 0: there never was one. */
  readonly version: number;
  readonly rules: readonly ZoneRule[];
  /** What is to be in force once every instance has confirmed it. */
  readonly change?: { readonly version: number; readonly rules: readonly ZoneRule[] } | undefined;
}

/** The instances that may append, as the strong store has them. */
export interface ZoneInstances {
  readonly [instance: string]: {
    /** Counts up with each renewal. */
    readonly renewal: number;
    /** The newest change for which nothing of the time before it is under way any more. */
    readonly confirmed: number;
    /** Ids of erasures for which nothing of their entity is under way, nor begins. */
    readonly erasures?: readonly string[];
  };
}

export const ZONES_KEY = `${DEFAULT_TENANT}.zones`;
export const ZONE_INSTANCES_KEY = `${DEFAULT_TENANT}.zones.instances`;
export const NO_ZONES: ZoneRecord = { version: 0, rules: [] };

const FORMAT_VERSION = 1;

export function encodeRecord(record: object): string {
  return JSON.stringify({ format: FORMAT_VERSION, record });
}

/** @throws MemplaneError `storage_damaged` for another format */
export function decodeRecord<T>(text: string): T {
  const { format, record } = JSON.parse(text) as { format: number; record: T };
  if (format === FORMAT_VERSION) return record;
  throw new MemplaneError('storage_damaged', `A record of zones has format ${format}.`);
}

/** A change to other rules; undefined where these are in force, or another change is under way. */
export function proposed(record: ZoneRecord, rules: readonly ZoneRule[]): ZoneRecord | undefined {
  if (record.change !== undefined || sameRules(record.rules, rules)) return undefined;
  return { ...record, change: { version: record.version + 1, rules } };
}

export function sameRules(a: readonly ZoneRule[], b: readonly ZoneRule[]): boolean {
  const textOf = (rules: readonly ZoneRule[]) =>
    rules.map((rule) => `${rule.match} ${rule.consistency} ${rule.sealed ?? false}`).join('\n');
  return textOf(a) === textOf(b);
}

/** Who has not confirmed a change, of those that are not gone. */
export function unconfirmed(
  instances: ZoneInstances,
  version: number,
  isGone: (instance: string) => boolean,
): string[] {
  return Object.entries(instances)
    .filter(([name, { confirmed }]) => confirmed < version && !isGone(name))
    .map(([name]) => name);
}

/** The change is in force. */
export function completed({ change, ...record }: ZoneRecord): ZoneRecord {
  return change === undefined ? record : { version: change.version, rules: change.rules };
}

export function withInstance(
  instances: ZoneInstances,
  name: string,
  confirmed: number,
  erasures: readonly string[] = [],
): ZoneInstances {
  const renewal = (instances[name]?.renewal ?? 0) + 1;
  const blocks = erasures.length === 0 ? {} : { erasures };
  return { ...instances, [name]: { renewal, confirmed, ...blocks } };
}

/** Who has not confirmed an erasure. */
export function unconfirmedErasure(instances: ZoneInstances, id: string): string[] {
  return Object.entries(instances)
    .filter(([, { erasures = [] }]) => !erasures.includes(id))
    .map(([name]) => name);
}

export function withoutInstances(
  instances: ZoneInstances,
  isGone: (name: string) => boolean,
): ZoneInstances {
  return Object.fromEntries(Object.entries(instances).filter(([name]) => !isGone(name)));
}
