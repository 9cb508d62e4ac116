/** An erasure that is not done, in the record that all instances look at. */
export interface OpenErasure {
  readonly tenant: string;
  readonly id: string;
  /** Absent where an earlier version wrote it, of one instance alone. */
  readonly entity?: string;
  /** Whether its event may yet go into the log: until it has, the entity takes nothing. */
  readonly isAppending?: boolean;
  /** The instance that sees to it. */
  readonly runner?: string;
}

export type OpenErasures = readonly OpenErasure[];

/** The one instance of a plane that has no other. */
export const ALONE = 'alone';

export function runnerOf({ runner = ALONE }: Pick<OpenErasure, 'runner'>): string {
  return runner;
}

export function entryOf(
  open: OpenErasures,
  { tenant, id }: Pick<OpenErasure, 'tenant' | 'id'>,
): OpenErasure | undefined {
  return open.find((one) => one.tenant === tenant && one.id === id);
}

/** Whether another erasure of the entity is on its way into the log. */
export function isTaken(
  open: OpenErasures,
  { tenant, id, entity }: Required<Pick<OpenErasure, 'tenant' | 'id' | 'entity'>>,
): boolean {
  return open.some(
    (one) =>
      one.isAppending === true && one.id !== id && one.tenant === tenant && one.entity === entity,
  );
}

export function withoutErasure(
  open: OpenErasures,
  { tenant, id }: Pick<OpenErasure, 'tenant' | 'id'>,
): OpenErasures {
  return open.filter((one) => one.tenant !== tenant || one.id !== id);
}
