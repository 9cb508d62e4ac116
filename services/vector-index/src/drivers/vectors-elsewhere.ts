import type { MemplaneError } from '@memplane/contracts';
import type { RowDetails, TenantVectors } from '../domain/ports.ts';
import type { Database } from './database.ts';
import type { RowColumns } from './row-columns.ts';

/** What a driver of vectors is given of a tenant: its rows, which it reads as it needs them. */
export interface TenantParts {
  /** A folder of the tenant's own. */
  readonly folder: string;
  readonly db: Database;
  readonly tenant: string;
  readonly columns: RowColumns;
  details(row: number): RowDetails;
}

/** Which vectors a generation holds. */
export interface VectorShape {
  readonly model: string | undefined;
  readonly dimensions: number;
}

/**
 * The vectors of one generation in a database elsewhere. Rows, texts and exact vectors stay here;
 * what was not stored there for certain yet is found here too, so a search never misses it.
 */
export interface VectorsElsewhere {
  /** The vectors of a tenant; again after what was in memory has been dropped. */
  tenant(parts: TenantParts): TenantVectors;
  /** Everything in memory was dropped; tenants are asked for again. */
  dropped(): void;
  /** Begins to write. @param appliedOf last offset applied of a partition */
  start(logId: string, db: Database, appliedOf: (partition: number) => number): void;
  /** This instance has been given a partition's new events: it writes its vectors. */
  claim(partition: number): void;
  /** Undefined when more rows may come; else what to wait for. */
  room(signal: AbortSignal): Promise<void> | undefined;
  /** Up to which offset of a partition all is stored there for certain. */
  settledOf(partition: number): number;
  /** Vectors that are not stored there for certain yet. */
  readonly unsettled: number;
  /** Rows of a generation before that are still to be removed there. */
  readonly removing: number;
  /** So little is left to be stored that others may be sent there. */
  readonly caughtUp: boolean;
  /** Why nothing can be stored at the moment. */
  readonly problem: MemplaneError | undefined;
  /** From now on others find this generation under the common name. */
  promote(): void;
  /** Another generation answers from now on: what only this one has goes, where both share a place. */
  supersededBy(next: VectorsElsewhere): void;
  /** Ends the work. @param remove what is stored there goes too, unless it has the common name */
  close(remove?: boolean): Promise<void>;
}

export type VectorsElsewhereFactory = (shape: VectorShape) => VectorsElsewhere;
