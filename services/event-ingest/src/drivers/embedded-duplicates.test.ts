import { describeDuplicatesContract } from './duplicates-contract.ts';
import { EmbeddedDuplicates } from './embedded-duplicates.ts';

describeDuplicatesContract('embedded', async (idsMax) => ({
  record: new EmbeddedDuplicates(idsMax),
  settled: async () => {},
  dispose: async () => {},
}));
