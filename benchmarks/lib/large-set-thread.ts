import { parentPort, workerData } from 'node:worker_threads';
import { comparingReplica } from '../../services/crdt-sync/src/domain/replication/test-comparing.ts';
import { EmbeddedStore } from '../../services/crdt-sync/src/drivers/embedded-store.ts';
import { PortCaller } from './port-caller.ts';

/** A replica in a thread of its own, with a folder of its own; told what to do by the main thread. */
export interface LargeSetData {
  readonly id: string;
  readonly dir: string;
  readonly set_elements_max: number;
}

export type LargeSetOrder =
  | { readonly order: 'add' | 'remove'; readonly elements: readonly string[] }
  | { readonly order: 'catchUp' | 'digests' | 'close' };

const port = parentPort;
if (port === null) throw new Error('this is a thread');
const { dir, id, set_elements_max } = workerData as LargeSetData;
const store = await EmbeddedStore.open({ dir });
const replica = await comparingReplica(id, store, new PortCaller(port), set_elements_max);
port.on('message', (message: LargeSetOrder | object) => {
  if ('order' in message) void obey(message).then((done) => port.postMessage({ done }));
});
port.postMessage({ done: 'started' });

async function obey(order: LargeSetOrder): Promise<string> {
  if (order.order === 'add') await replica.add('s', order.elements);
  else if (order.order === 'remove') await replica.remove('s', order.elements);
  else if (order.order === 'catchUp') await replica.catchUp('other');
  else if (order.order === 'close') await store.close();
  return order.order === 'digests' ? replica.digests() : '';
}
