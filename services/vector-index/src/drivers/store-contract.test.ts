import { storeContract } from '../testing/store-contract.ts';

storeContract({
  name: 'embedded',
  options: () => undefined,
  recall_events: 6_000,
  recall_dimensions: 128,
});
