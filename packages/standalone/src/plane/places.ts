import { join } from 'node:path';

/** The folders within the data folder, one for each owner. */
export const logDirOf = (dataDir: string): string => join(dataDir, 'log');
export const viewsDirOf = (dataDir: string): string => join(dataDir, 'views');
export const archiveDirOf = (dataDir: string): string => join(dataDir, 'archive');
export const auditDirOf = (dataDir: string): string => join(dataDir, 'audit');
export const crdtDirOf = (dataDir: string): string => join(dataDir, 'crdt');
export const vectorsDirOf = (dataDir: string): string => join(dataDir, 'vectors');
export const strongDirOf = (dataDir: string): string => join(dataDir, 'strong');
